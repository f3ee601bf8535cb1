package kmod

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

var errDamaged = errors.New("damaged xz data")

// unpack unpacks a module by its first bytes, as libkmod does; what is not packed
// is given as it is. What would be longer than limit, in bytes, is tree.ErrTooLarge.
func unpack(data []byte, limit int) ([]byte, error) {
	var file []byte
	var err error
	switch {
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		var in *gzip.Reader
		if in, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			file, err = readBounded(in, limit)
		}
	case bytes.HasPrefix(data, []byte("\xfd7zXZ\x00")):
		file, err = unxz(data, limit)
	case bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd")):
		file, err = unzstd(data, limit)
	default:
		return data, nil
	}
	if err != nil && !errors.Is(err, tree.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", ErrNotModule, err)
	}
	return file, err
}

func readBounded(in io.Reader, limit int) ([]byte, error) {
	file, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err == nil && len(file) > limit {
		return nil, tree.ErrTooLarge
	}
	return file, err
}

func unzstd(data []byte, limit int) ([]byte, error) {
	in, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(limit)), zstd.WithDecoderMaxWindow(maxModule))
	if err != nil {
		return nil, err
	}
	defer in.Close()
	file, err := readBounded(in, limit)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return nil, tree.ErrTooLarge
	}
	return file, err
}

// unxz unpacks the .xz format (version 1.2.1 of its specification) with LZMA2 alone.
// The package xz would take as much memory as the file says it needs.
func unxz(data []byte, limit int) ([]byte, error) {
	// More blocks than xz(1) makes of the longest module could keep us busy for hours.
	const streamHeader, maxBlocks = 12, 64
	if len(data) < streamHeader {
		return nil, errDamaged
	}
	// The size of a block's checksum by its kind, in bytes.
	check := []int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[data[7]&0xf]
	var out []byte
	at := streamHeader
	for range maxBlocks {
		if at >= len(data) {
			return nil, errDamaged
		}
		if data[at] == 0 { // the index: that was the last block
			return out, nil
		}
		size := (int(data[at]) + 1) * 4
		if at+size > len(data) {
			return nil, errDamaged
		}
		dictionary, err := xzDictionary(data[at+1:at+size], limit)
		if err != nil {
			return nil, err
		}
		in := bytes.NewReader(data[at+size:])
		block, err := unxzBlock(in, dictionary, limit-len(out))
		if err != nil {
			return nil, err
		}
		at = (len(data) - in.Len() + 3) &^ 3 // blocks are padded to 4 bytes
		if at+check > len(data) || !checks(data[7]&0xf, block, data[at:at+check]) {
			return nil, errDamaged
		}
		at += check
		out = append(out, block...)
	}
	return nil, fmt.Errorf("%w: more than %d blocks", errDamaged, maxBlocks)
}

func unxzBlock(in *bytes.Reader, dictionary, limit int) ([]byte, error) {
	block, err := lzma.Reader2Config{DictCap: dictionary}.NewReader2(in)
	if err != nil {
		return nil, err
	}
	return readBounded(block, limit)
}

// xzDictionary reads what follows the size in a block's header: flags, sizes that
// may be there, and the one filter, which is LZMA2 with the size of its dictionary.
// It gives as much of that as the limit needs, in bytes.
func xzDictionary(header []byte, limit int) (int, error) {
	const lzma2 = "\x21\x01" // its number, and that it has one byte of properties
	flags, rest := header[0], header[1:]
	for _, size := range []byte{0x40, 0x80} {
		if flags&size != 0 {
			for len(rest) > 0 && rest[0]&0x80 != 0 {
				rest = rest[1:]
			}
			rest = rest[min(1, len(rest)):]
		}
	}
	if flags&0x3f != 0 || len(rest) < 3 || string(rest[:2]) != lzma2 {
		return 0, fmt.Errorf("%w: a filter besides LZMA2", errDamaged)
	}
	dictionary, err := lzma.DecodeDictCap(rest[2])
	if err != nil {
		return 0, err
	}
	// What is unpacked is no longer than the limit, and refers to nothing before it.
	return int(min(dictionary, int64(limit))), nil
}

// checks holds a block to its CRC32 or CRC64; other kinds nobody uses for modules.
func checks(kind byte, block, sum []byte) bool {
	switch kind {
	case 1:
		return bytes.Equal(sum, littleEndian(uint64(crc32.ChecksumIEEE(block)), 4))
	case 4:
		return bytes.Equal(sum, littleEndian(crc64.Checksum(block, crc64.MakeTable(crc64.ECMA)), 8))
	}
	return true
}

func littleEndian(v uint64, size int) []byte { return binary.LittleEndian.AppendUint64(nil, v)[:size] }
