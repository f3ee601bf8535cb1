package kmod

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// conntrackKO has the metadata of nf_conntrack of 5.10.
func conntrackKO() []byte {
	return kerneltree.KO(
		"parm=acct:Enable connection tracking flow accounting.", "parmtype=acct:bool", "parmtype=expect_hashsize:uint",
		"parm=untyped:text", "__param_str_hashsize", "__param_str_acct", "__param_str_", "nf_conntrack_in",
		"depends=nf_defrag_ipv6,libcrc32c,nf-defrag-ipv4",
		"vermagic=5.10.0-32-cloud-amd64 SMP mod_unload modversions ", "license=GPL")
}

var conntrackInfo = Info{
	Parameters: map[string]string{"acct": "bool", "expect_hashsize": "uint", "untyped": "", "hashsize": ""},
	Depends:    []string{"nf_defrag_ipv6", "libcrc32c", "nf_defrag_ipv4"},
	Vermagic:   "5.10.0-32-cloud-amd64 SMP mod_unload modversions",
}

func TestReadInfo(t *testing.T) {
	for _, ext := range []string{".ko", ".ko.gz", ".ko.xz", ".ko.zst"} {
		for _, signed := range []bool{false, true} {
			root, file, want := t.TempDir(), conntrackKO(), conntrackInfo
			if want.Signed = signed; signed {
				file = kerneltree.Sign(file)
			}
			kerneltree.Put(t, root, "x"+ext, string(kerneltree.Pack(t, file, ext)))
			got, err := ReadInfo(tree.At(root), "/x"+ext)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, signed %t (-want +got):\n%s", ext, signed, diff)
			}
		}
	}
}

// xz(1) makes more kinds of files than the package that the tests compress with.
func TestParseInfoXZ(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		netns.Cannot(t, "no xz here: %v", err)
	}
	file := kerneltree.Sign(append(conntrackKO(), bytes.Repeat([]byte("some text that compresses well\n"), 10000)...))
	for _, args := range [][]string{
		{"--check=crc32", "--lzma2=dict=1MiB"}, {"--check=none"}, {"--check=crc64", "-0"}, {"--check=sha256"},
		{"--block-size=65536", "-T2"},
	} {
		command := exec.Command("xz", append(args, "-c")...)
		command.Stdin = bytes.NewReader(file)
		compressed, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decompress(compressed, maxModule)
		if err != nil || !bytes.Equal(got, file) {
			t.Errorf("%q: %d bytes of %d, %v", args, len(got), len(file), err)
		}
		if args[0] == "--check=crc32" || args[0] == "--check=crc64" {
			// The last checksum is before the index, whose first byte is 0.
			corrupt := bytes.Clone(compressed)
			index := 4 * (int(binary.LittleEndian.Uint32(corrupt[len(corrupt)-8:])) + 1)
			corrupt[len(corrupt)-12-index-1] ^= 1
			if _, err := decompress(corrupt, maxModule); !errors.Is(err, ErrNotModule) {
				t.Errorf("%q, corrupt: %v", args, err)
			}
		}
	}
	command := exec.Command("xz", "--x86", "--lzma2", "-c")
	command.Stdin = bytes.NewReader(file)
	compressed, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = "not a kernel module: corrupt xz data: a filter other than LZMA2"
	if _, err := ParseInfo(compressed); text(err) != want {
		t.Errorf("error %q, want %q", text(err), want)
	}
}

func TestParseInfoInvalid(t *testing.T) {
	const noSection = "not a kernel module: no .modinfo section"
	ko := conntrackKO()
	compressed := func(ext string, cut int) []byte {
		data := kerneltree.Pack(t, ko, ext)
		return data[:len(data)-cut]
	}
	tests := []struct {
		name, want string
		file       []byte
	}{
		{"empty", "not a kernel module: EOF", nil},
		{"text", "not a kernel module: bad magic number '[35 33 47 98]' in record at byte 0x0",
			[]byte("#!/bin/sh\nexit 0\n")},
		{"truncated ELF", "not a kernel module: EOF", ko[:40]},
		{"ELF without its sections", "not a kernel module: EOF", ko[:70]},
		{"no .modinfo", noSection, bytes.ReplaceAll(ko, []byte(".modinfo"), []byte(".nothing"))},
		{"compressed .modinfo", noSection, compressedSection(ko)},
		{"truncated gzip", "not a kernel module: unexpected EOF", compressed(".gz", 9)},
		{"gzip's first bytes", "not a kernel module: unexpected EOF", []byte("\x1f\x8b\x08")},
		{"truncated xz", "not a kernel module: unexpected EOF", compressed(".xz", 120)},
		{"xz's first bytes", "not a kernel module: corrupt xz data", []byte("\xfd7zXZ\x00\x00")},
		{"truncated zstd", "not a kernel module: unexpected EOF", compressed(".zst", 9)},
	}
	for _, test := range tests {
		got, err := ParseInfo(test.file)
		if text(err) != test.want || !errors.Is(err, ErrNotModule) {
			t.Errorf("%s: error %q, want %q", test.name, text(err), test.want)
		}
		if diff := cmp.Diff(Info{}, got); diff != "" {
			t.Errorf("%s: an error and metadata too (-want +got):\n%s", test.name, diff)
		}
	}
	root := t.TempDir()
	kerneltree.Put(t, root, "x.ko", "x")
	if _, err := ReadInfo(tree.At(root), "/x.ko"); text(err) != "cannot read module /x.ko: not a kernel module: EOF" {
		t.Errorf("error %q", text(err))
	}
	if _, err := ReadInfo(tree.At(root), "/y.ko"); text(err) != "open /y.ko: no such file or directory" {
		t.Errorf("error %q", text(err))
	}
}

// compressedSection sets SHF_COMPRESSED on .modinfo, the first section of kerneltree.KO.
func compressedSection(ko []byte) []byte {
	const flags = 8 // the offset of sh_flags in Elf64_Shdr, in bytes
	file := bytes.Clone(ko)
	sections := binary.LittleEndian.Uint64(file[40:]) // e_shoff
	binary.LittleEndian.PutUint64(file[sections+64+flags:], uint64(elf.SHF_ALLOC|elf.SHF_COMPRESSED))
	return file
}

// compressZeros compresses size zeros without allocating them.
func compressZeros(t *testing.T, size int64, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var compressed bytes.Buffer
	w, err := open(&compressed)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range size >> 20 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed.Bytes()
}

// A small file that decompresses to more than the limit is refused.
func TestDecompressIsBounded(t *testing.T) {
	const limit, size = 4 << 20, 5 << 20
	bombs := map[string][]byte{
		"gz":  compressZeros(t, size, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		"zst": compressZeros(t, size, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"xz":  compressZeros(t, size, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
	}
	// The file asks for a dictionary of 4 GiB.
	greedy := bytes.Clone(bombs["xz"])
	at := bytes.Index(greedy, []byte("\x21\x01"))
	greedy[at+2] = 40
	bombs["xz dictionary"] = greedy
	for name, bomb := range bombs {
		if _, err := decompress(bomb, limit); !errors.Is(err, tree.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A small file that asks for the same dictionary costs no memory.
	small := kerneltree.Pack(t, []byte("x"), ".xz")
	small[bytes.Index(small, []byte("\x21\x01"))+2] = 40
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := decompress(small, limit)
	if runtime.ReadMemStats(&after); string(got) != "x" || err != nil || after.TotalAlloc-before.TotalAlloc > 4*limit {
		t.Errorf("a small file with a large dictionary: %q, %v, %d bytes allocated",
			got, err, after.TotalAlloc-before.TotalAlloc)
	}
	// Too many blocks.
	block := kerneltree.Pack(t, []byte("x"), ".xz")[12:]
	block = block[:bytes.Index(block, []byte("\x00\x01"))&^3]
	many := append(bytes.Clone(bombs["xz"][:12]), bytes.Repeat(block, 1000)...)
	const want = "not a kernel module: corrupt xz data: more than 64 blocks"
	if _, err := decompress(many, limit); text(err) != want {
		t.Errorf("error %q, want %q", text(err), want)
	}
}

// The number of parameters of one file is limited.
func TestParametersAreBounded(t *testing.T) {
	var modinfo []string
	for i := range maxParameters {
		modinfo = append(modinfo, fmt.Sprintf("parm=a%d:", i), fmt.Sprintf("__param_str_b%d", i))
	}
	info, err := ParseInfo(kerneltree.KO(append(modinfo, "parmtype=a0:bool")...))
	if err != nil || len(info.Parameters) != maxParameters || info.Parameters["a0"] != "bool" {
		t.Errorf("%d parameters, %v", len(info.Parameters), err)
	}
}

func TestParameterNames(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "proc/sys/kernel/osrelease", "6.1\n")
	kerneltree.Put(t, root, "lib/modules/6.1/modules.dep", "kernel/nf_conntrack.ko.xz:\n")
	const file = "lib/modules/6.1/kernel/nf_conntrack.ko.xz"
	kerneltree.Put(t, root, file, string(kerneltree.Pack(t, conntrackKO(), ".xz")))
	check := func(name, wantFrom string, want ...string) {
		t.Helper()
		got, from := ParameterNames(tree.At(root), "nf-conntrack")
		if from != wantFrom {
			t.Errorf("%s: from %q, want %q", name, from, wantFrom)
		}
		var all map[string]bool
		for _, parameter := range want {
			if all == nil {
				all = map[string]bool{}
			}
			all[parameter] = true
		}
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	check("loaded", "/sys/module/nf_conntrack/parameters", "expect_hashsize", "hashsize")
	kerneltree.Unload(t, root)
	check("on disk", "/"+file, "acct", "expect_hashsize", "hashsize", "untyped")
	kerneltree.Put(t, root, file, "damaged")
	check("damaged", "")
	if err := os.RemoveAll(filepath.Join(root, "lib")); err != nil {
		t.Fatal(err)
	}
	check("no modules", "")
	for _, file := range []string{"lib/modules/6.1/modules.dep", "lib/modules/5.10/modules.dep"} {
		kerneltree.Put(t, root, file, "kernel/nf_conntrack.ko:\n")
	}
	kerneltree.Put(t, root, "lib/modules/6.1/kernel/nf_conntrack.ko", string(conntrackKO()))
	kerneltree.Put(t, root, "lib/modules/5.10/kernel/nf_conntrack.ko",
		string(kerneltree.KO("parmtype=acct:bool", "parmtype=old:bool")))
	check("on disk, the kernel running", "/lib/modules/6.1/kernel/nf_conntrack.ko", "acct", "expect_hashsize",
		"hashsize", "untyped")
	if err := os.RemoveAll(filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	check("what all kernels of a disk have", "/lib/modules/5.10/kernel/nf_conntrack.ko, "+
		"/lib/modules/6.1/kernel/nf_conntrack.ko", "acct")
	kerneltree.Put(t, root, "lib/modules/5.10/kernel/nf_conntrack.ko", "damaged")
	check("one of them damaged", "")
	if err := os.RemoveAll(filepath.Join(root, "lib")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	check("nothing", "")
}

// Kernels are little-endian and big-endian, 32-bit and 64-bit.
func TestParseInfo32(t *testing.T) {
	build := func(order binary.AppendByteOrder, data byte) []byte {
		// Elf32: a header of 52 bytes, one section's text, names, three section headers.
		names := "\x00.modinfo\x00.shstrtab\x00"
		info := "parmtype=a:bool\x00"
		file := append([]byte("\x7fELF\x01"), data, 1)
		file = append(file, make([]byte, 9)...)
		half := func(v ...uint16) {
			for _, v := range v {
				file = order.AppendUint16(file, v)
			}
		}
		word := func(v ...uint32) {
			for _, v := range v {
				file = order.AppendUint32(file, v)
			}
		}
		half(1, 8)
		word(1, 0, 0, uint32(52+len(info)+len(names)), 0)
		half(52, 0, 0, 40, 3, 2)
		file = append(file, info+names...)
		word(make([]uint32, 10)...)
		word(1, 1, 2, 0, 52, uint32(len(info)), 0, 0, 1, 0)
		word(uint32(strings.Index(names, ".shstrtab")), 3, 0, 0, uint32(52+len(info)), uint32(len(names)), 0, 0, 1, 0)
		return file
	}
	for _, file := range [][]byte{build(binary.LittleEndian, 1), build(binary.BigEndian, 2)} {
		got, err := ParseInfo(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"a": "bool"}, got.Parameters); diff != "" {
			t.Errorf("parameters (-want +got):\n%s", diff)
		}
	}
}

func FuzzParseInfo(f *testing.F) {
	for _, ext := range []string{"", ".gz", ".xz", ".zst"} {
		f.Add(kerneltree.Pack(f, conntrackKO(), ext))
	}
	f.Add(kerneltree.Sign(conntrackKO()))
	f.Fuzz(func(t *testing.T, file []byte) {
		info, err := ParseInfo(file)
		if err != nil && !errors.Is(err, ErrNotModule) && !errors.Is(err, tree.ErrTooLarge) {
			t.Errorf("error %v", err)
		}
		if err != nil && info.Parameters != nil {
			t.Errorf("an error and metadata too: %+v", info)
		}
	})
}
