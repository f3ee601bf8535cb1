package kerneltree

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// SignatureMarker ends a signed module (MODULE_SIG_STRING of
// include/linux/module_signature.h).
const SignatureMarker = "~Module signature appended~\n"

// KO returns a minimal module file: ELF for x86-64 with a .modinfo section of "key=value" strings, such as
// "parm=acct:..." and "parmtype=acct:bool". A string without "=" is the name of a symbol: a parameter like hashsize
// has only "__param_str_hashsize". The file cannot be loaded.
func KO(modinfo ...string) []byte {
	var info, symbols bytes.Buffer
	symbols.WriteByte(0)
	for _, entry := range modinfo {
		if strings.Contains(entry, "=") {
			info.WriteString(entry + "\x00")
		} else {
			symbols.WriteString(entry + "\x00")
		}
	}
	const names = "\x00.modinfo\x00.strtab\x00.shstrtab\x00"
	const header, section = 64, 64 // sizes of Elf64_Ehdr and Elf64_Shdr, in bytes
	sections := []elf.Section64{
		{},
		{
			Name: uint32(strings.Index(names, ".modinfo")), Type: uint32(elf.SHT_PROGBITS),
			Flags: uint64(elf.SHF_ALLOC), Off: header, Size: uint64(info.Len()), Addralign: 1,
		},
		{
			Name: uint32(strings.Index(names, ".strtab")), Type: uint32(elf.SHT_STRTAB),
			Off: header + uint64(info.Len()), Size: uint64(symbols.Len()), Addralign: 1,
		},
		{
			Name: uint32(strings.Index(names, ".shstrtab")), Type: uint32(elf.SHT_STRTAB),
			Off: header + uint64(info.Len()+symbols.Len()), Size: uint64(len(names)), Addralign: 1,
		},
	}
	var file bytes.Buffer
	head := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Shoff: uint64(header + info.Len() + symbols.Len() + len(names)), Ehsize: header, Shentsize: section,
		Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	}
	copy(head.Ident[:], elf.ELFMAG)
	head.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	head.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	head.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	for _, part := range []any{head, info.Bytes(), symbols.Bytes(), []byte(names), sections} {
		_ = binary.Write(&file, binary.LittleEndian, part) // fixed sizes and a buffer: it cannot fail
	}
	return file.Bytes()
}

// Sign appends the form of a signature, which is not a valid one.
func Sign(module []byte) []byte {
	return append(append(bytes.Clone(module), "not a real signature"...), SignatureMarker...)
}

// Pack compresses a module file as the end of its name says: .gz, .xz or .zst. With another end it returns the file.
func Pack(t testing.TB, data []byte, ext string) []byte {
	t.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser
	var err error
	switch ext[strings.LastIndexByte(ext, '.')+1:] {
	case "gz":
		w = gzip.NewWriter(&packed)
	case "xz":
		w, err = xz.NewWriter(&packed)
	case "zst":
		w, err = zstd.NewWriter(&packed)
	default:
		return data
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
