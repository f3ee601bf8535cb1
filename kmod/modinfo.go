package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// maxModule limits a module's file, compressed and decompressed, in bytes. It is far above
	// nf_conntrack with debugging symbols, and far below the memory that the unit allows for persist
	// (MemoryMax=).
	maxModule = 16 << 20
	// maxParameters is above what any module has.
	maxParameters = 4096
	// signatureMarker is MODULE_SIG_STRING of include/linux/module_signature.h.
	signatureMarker = "~Module signature appended~\n"
	// parameterSymbol is the prefix of the symbol that every parameter has (__module_param_call of
	// include/linux/moduleparam.h).
	parameterSymbol = "__param_str_"
)

// ErrNotModule is a file that is not a kernel module, or a corrupt one.
var ErrNotModule = errors.New("not a kernel module")

// Info is the metadata in a module's file: its .modinfo section (MODULE_INFO of
// include/linux/moduleparam.h) and the symbols of its parameters.
//
// modinfo(8) does not replace this reader. It prints only .modinfo, which lacks hashsize. kmod 30 of
// Debian 12 has no zlib and reports a .ko.gz as "not found". Decompression is unbounded: a .ko.xz of
// 156 kB took 1 GB of memory and 18 s.
type Info struct {
	// Parameters has the type of each parameter by name, from parmtype, or "". The parameters of
	// module_param_call, such as hashsize, are not in .modinfo: they are found by their symbols, and a
	// stripped module does not show them.
	Parameters map[string]string
	Depends    []string
	Vermagic   string
	// Signed is true if a signature is appended to the file.
	Signed bool
}

// ReadInfo reads a module's file: .ko, .ko.gz, .ko.xz or .ko.zst. It returns tree.ErrTooLarge if the
// file is over 16 MiB decompressed, and ErrNotModule if it is corrupt or something else.
func ReadInfo(t tree.Tree, path string) (Info, error) {
	data, err := t.Read(path, maxModule)
	if err != nil {
		return Info{}, err
	}
	info, err := ParseInfo(data)
	if err != nil {
		return Info{}, fmt.Errorf("cannot read module %s: %w", path, err)
	}
	return info, nil
}

// ParseInfo parses the contents of a module's file, which may be compressed.
func ParseInfo(data []byte) (Info, error) {
	file, err := decompress(data, maxModule)
	if err != nil {
		return Info{}, err
	}
	object, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrNotModule, err)
	}
	modinfo, err1 := readSection(object, ".modinfo")
	symbols, err2 := readSection(object, ".strtab")
	if err := errors.Join(err1, err2); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrNotModule, err)
	}
	if modinfo == nil {
		return Info{}, fmt.Errorf("%w: no .modinfo section", ErrNotModule)
	}
	info := Info{Parameters: map[string]string{}, Signed: bytes.HasSuffix(file, []byte(signatureMarker))}
	info.addEntries(string(modinfo))
	for symbol := range strings.SplitSeq(string(symbols), "\x00") {
		if name, ok := strings.CutPrefix(symbol, parameterSymbol); ok && name != "" {
			info.addParameter(name, "")
		}
	}
	return info, nil
}

// addEntries adds the entries of .modinfo, each ended by NUL.
func (info *Info) addEntries(text string) {
	for entry := range strings.SplitSeq(text, "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "parm", "parmtype":
			name, kind, _ := strings.Cut(value, ":")
			if key == "parm" {
				kind = ""
			}
			info.addParameter(name, kind)
		case "depends":
			for name := range strings.SplitSeq(value, ",") {
				if name != "" {
					info.Depends = append(info.Depends, NormalizeName(name))
				}
			}
		case "vermagic":
			info.Vermagic = strings.TrimSpace(value)
		}
	}
}

// addParameter adds a parameter. An empty kind does not replace a known one.
func (info *Info) addParameter(name, kind string) {
	before, known := info.Parameters[name]
	if known && kind == "" {
		kind = before
	}
	if known || len(info.Parameters) < maxParameters {
		info.Parameters[name] = kind
	}
}

// readSection returns the contents of a section, or nil if the file does not have it. A section with
// SHF_COMPRESSED counts as absent: debug/elf would decompress it to any length.
func readSection(file *elf.File, name string) ([]byte, error) {
	section := file.Section(name)
	if section == nil || section.Type == elf.SHT_NOBITS || section.Flags&elf.SHF_COMPRESSED != 0 {
		return nil, nil
	}
	return section.Data()
}

// ParameterNames returns the names of a module's parameters and where they were read: from /sys/module
// if it is in the kernel, else from the module's file for the running kernel. In a tree without a
// running kernel (an offline disk) it returns the parameters that the files of all installed kernels
// have. It returns nil if one of those files cannot be read.
func ParameterNames(t tree.Tree, module string) (names map[string]bool, from string) {
	module = NormalizeName(module)
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
