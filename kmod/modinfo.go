package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// maxModule is the longest module's file that is read, packed and unpacked, in
	// bytes: far above nf_conntrack with its debugging symbols, and far below the memory
	// that the unit gives to persist (MemoryMax=).
	maxModule = 16 << 20
	// maxParameters is above what any module has.
	maxParameters = 4096
	// signatureMarker is MODULE_SIG_STRING of include/linux/module_signature.h.
	signatureMarker = "~Module signature appended~\n"
	// parameterSymbol begins the name of the symbol that every parameter has
	// (__module_param_call of include/linux/moduleparam.h).
	parameterSymbol = "__param_str_"
	// maxSectionName is above the length of the names that are looked for, in bytes.
	maxSectionName = 32
)

// ErrNotModule is a file that is no kernel module.
var ErrNotModule = errors.New("not a kernel module")

// Info is what a module's file says of itself: its .modinfo section (MODULE_INFO of
// include/linux/moduleparam.h) and the symbols of its parameters.
type Info struct {
	// Parameters has each parameter's type by name, from parmtype; "" where it has
	// none. Those of module_param_call, hashsize among them, are not in .modinfo: they
	// are known by their symbols, and a module that is stripped of those hides them.
	Parameters map[string]string
	Depends    []string
	Vermagic   string
	// Signed is true where a signature is appended to the file.
	Signed bool
}

// ReadInfo reads a module's file: .ko, .ko.gz, .ko.xz or .ko.zst. Unpacked it may
// be 16 MiB at most, or it is tree.ErrTooLarge; a file that is something else, or
// damaged, is ErrNotModule.
func ReadInfo(t tree.Tree, path string) (Info, error) {
	packed, err := t.Read(path, maxModule)
	if err != nil {
		return Info{}, err
	}
	info, err := ParseInfo(packed)
	if err != nil {
		return Info{}, fmt.Errorf("cannot read module %s: %w", path, err)
	}
	return info, nil
}

// ParseInfo reads the contents of a module's file, which may be packed.
func ParseInfo(packed []byte) (Info, error) {
	file, err := unpack(packed, maxModule)
	if err != nil {
		return Info{}, err
	}
	found, err := sections(file, ".modinfo", ".strtab")
	if err != nil {
		return Info{}, err
	}
	if found[".modinfo"] == nil {
		return Info{}, fmt.Errorf("%w: no .modinfo section", ErrNotModule)
	}
	info := Info{Parameters: map[string]string{}, Signed: bytes.HasSuffix(file, []byte(signatureMarker))}
	info.read(string(found[".modinfo"]))
	for symbol := range strings.SplitSeq(string(found[".strtab"]), "\x00") {
		if name, ok := strings.CutPrefix(symbol, parameterSymbol); ok && name != "" {
			info.parameter(name, "")
		}
	}
	return info, nil
}

// read takes the section's entries, each ended by NUL.
func (info *Info) read(text string) {
	for entry := range strings.SplitSeq(text, "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "parm", "parmtype":
			name, kind, _ := strings.Cut(value, ":")
			if key == "parm" {
				kind = ""
			}
			info.parameter(name, kind)
		case "depends":
			for name := range strings.SplitSeq(value, ",") {
				if name != "" {
					info.Depends = append(info.Depends, underscores(name))
				}
			}
		case "vermagic":
			info.Vermagic = strings.TrimSpace(value)
		}
	}
}

// parameter notes a parameter, and its type where that is told.
func (info *Info) parameter(name, kind string) {
	before, known := info.Parameters[name]
	if known && kind == "" {
		kind = before
	}
	if known || len(info.Parameters) < maxParameters {
		info.Parameters[name] = kind
	}
}

// sections finds sections of an ELF file (elf(5)) by name. debug/elf itself would
// unpack a section that calls itself packed, to any length.
func sections(file []byte, wanted ...string) (map[string][]byte, error) {
	if len(file) < elf.EI_NIDENT || string(file[:len(elf.ELFMAG)]) != elf.ELFMAG {
		return nil, ErrNotModule
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(file[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	wide := elf.Class(file[elf.EI_CLASS]) == elf.ELFCLASS64
	header, ok := readHeader(file, order, wide)
	if !ok || header.Shoff > uint64(len(file)) {
		return nil, fmt.Errorf("%w: damaged", ErrNotModule)
	}
	section := func(i uint16) (s elf.Section64, data []byte) {
		at := header.Shoff + uint64(i)*uint64(header.Shentsize)
		if at > uint64(len(file)) {
			return s, nil
		}
		s, ok := readSection(file[at:], order, wide)
		if !ok || s.Type == uint32(elf.SHT_NOBITS) || s.Off > uint64(len(file)) || s.Size > uint64(len(file))-s.Off {
			return s, nil
		}
		return s, file[s.Off : s.Off+s.Size]
	}
	_, names := section(header.Shstrndx)
	found := map[string][]byte{}
	for i := range header.Shnum {
		s, data := section(i)
		if uint64(s.Name) >= uint64(len(names)) {
			continue
		}
		name, _, _ := bytes.Cut(names[s.Name:min(uint64(len(names)), uint64(s.Name)+maxSectionName)], []byte{0})
		if slices.Contains(wanted, string(name)) && data != nil {
			found[string(name)] = data
		}
	}
	return found, nil
}

func readHeader(file []byte, order binary.ByteOrder, wide bool) (elf.Header64, bool) {
	if wide {
		var h elf.Header64
		_, err := binary.Decode(file, order, &h)
		return h, err == nil
	}
	var h elf.Header32
	_, err := binary.Decode(file, order, &h)
	return elf.Header64{Shoff: uint64(h.Shoff), Shentsize: h.Shentsize, Shnum: h.Shnum, Shstrndx: h.Shstrndx}, err == nil
}

func readSection(file []byte, order binary.ByteOrder, wide bool) (elf.Section64, bool) {
	if wide {
		var s elf.Section64
		_, err := binary.Decode(file, order, &s)
		return s, err == nil
	}
	var s elf.Section32
	_, err := binary.Decode(file, order, &s)
	return elf.Section64{Name: s.Name, Type: s.Type, Off: uint64(s.Off), Size: uint64(s.Size)}, err == nil
}

// Parameters names the parameters that a module of this host has: of the loaded one
// in /sys/module, else of the file for the running kernel, else, on a disk, those that
// the files of all its kernels have; and where it was read. Nil where a file cannot be
// read.
func Parameters(t tree.Tree, module string) (names map[string]bool, from string) {
	module = underscores(module)
	names = map[string]bool{}
	dir := path.Join(sysModule, module, "parameters")
	if list, err := t.List(dir); err == nil {
		for _, name := range list {
			names[name] = true
		}
		return names, dir
	}
	var files []string
	for _, release := range Releases(t) {
		x, err := ReadIndex(t, release)
		if err != nil || x.Path(module) == "" {
			return nil, ""
		}
		info, err := ReadInfo(t, x.Path(module))
		if err != nil {
			return nil, ""
		}
		for name := range info.Parameters {
			names[name] = names[name] || len(files) == 0
		}
		maps.DeleteFunc(names, func(name string, _ bool) bool {
			_, has := info.Parameters[name]
			return !has || !names[name]
		})
		files = append(files, x.Path(module))
	}
	if files == nil {
		return nil, ""
	}
	return names, strings.Join(files, ", ")
}
