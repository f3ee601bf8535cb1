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

var errCorruptXZ = errors.New("corrupt xz data")

// decompress decompresses a module by its first bytes, as libkmod does. It returns data unchanged if it
// is not compressed, and tree.ErrTooLarge if the result would be over limit, in bytes.
func decompress(data []byte, limit int) ([]byte, error) {
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

// unxz decompresses the .xz format (version 1.2.1 of its specification), LZMA2 filters only. The
// package xz would allocate a dictionary as large as the file asks for, up to 4 GiB; so only its
// decoder of a block is used.
func unxz(data []byte, limit int) ([]byte, error) {
	// xz(1) makes fewer blocks of the largest module. Without a limit a file could take hours.
	const streamHeader, maxBlocks = 12, 64
	if len(data) < streamHeader {
		return nil, errCorruptXZ
	}
	// The size of a block's checksum, in bytes, by its kind.
	check := []int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[data[7]&0xf]
	var out []byte
	at := streamHeader
	for range maxBlocks {
		if at >= len(data) {
			return nil, errCorruptXZ
		}
		if data[at] == 0 { // the index, which follows the last block
			return out, nil
		}
		size := (int(data[at]) + 1) * 4
		if at+size > len(data) {
			return nil, errCorruptXZ
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
		if at+check > len(data) || !isChecksumOK(data[7]&0xf, block, data[at:at+check]) {
			return nil, errCorruptXZ
		}
		at += check
		out = append(out, block...)
	}
	return nil, fmt.Errorf("%w: more than %d blocks", errCorruptXZ, maxBlocks)
}

func unxzBlock(in *bytes.Reader, dictionary, limit int) ([]byte, error) {
	block, err := lzma.Reader2Config{DictCap: dictionary}.NewReader2(in)
	if err != nil {
		return nil, err
	}
	return readBounded(block, limit)
}

// xzDictionary parses a block's header after its size: flags, optional sizes, and one filter, which
// must be LZMA2. It returns the size of the filter's dictionary in bytes, at most limit.
func xzDictionary(header []byte, limit int) (int, error) {
	const lzma2 = "\x21\x01" // the filter's number and the size of its properties, in bytes
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
		return 0, fmt.Errorf("%w: a filter other than LZMA2", errCorruptXZ)
	}
	dictionary, err := lzma.DecodeDictCap(rest[2])
	if err != nil {
		return 0, err
	}
	// The block is no longer than limit and refers to nothing before it.
	return int(min(dictionary, int64(limit))), nil
}

// isChecksumOK compares a block with its CRC32 or CRC64. Modules have no other kinds.
func isChecksumOK(kind byte, block, sum []byte) bool {
	switch kind {
	case 1:
		return bytes.Equal(sum, littleEndian(uint64(crc32.ChecksumIEEE(block)), 4))
	case 4:
		return bytes.Equal(sum, littleEndian(crc64.Checksum(block, crc64.MakeTable(crc64.ECMA)), 8))
	}
	return true
}

func littleEndian(v uint64, size int) []byte { return binary.LittleEndian.AppendUint64(nil, v)[:size] }
