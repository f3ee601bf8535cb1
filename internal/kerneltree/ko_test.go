package kerneltree

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func TestKO(t *testing.T) {
	file, err := elf.NewFile(bytes.NewReader(KO("license=GPL", "__param_str_hashsize", "parmtype=acct:bool")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		".modinfo": "license=GPL\x00parmtype=acct:bool\x00",
		".strtab":  "\x00__param_str_hashsize\x00",
	} {
		section := file.Section(name)
		if section == nil {
			t.Fatalf("no section %s", name)
		}
		text, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != want {
			t.Errorf("%s has %q, want %q", name, text, want)
		}
	}
}

func TestPack(t *testing.T) {
	module := KO("license=GPL")
	unpack := map[string]func(io.Reader) (io.Reader, error){
		"":        func(r io.Reader) (io.Reader, error) { return r, nil },
		".ko":     func(r io.Reader) (io.Reader, error) { return r, nil },
		".gz":     func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		".ko.xz":  func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) },
		".ko.zst": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	}
	for ext, open := range unpack {
		in, err := open(bytes.NewReader(Pack(t, module, ext)))
		if err != nil {
			t.Fatalf("%s: %v", ext, err)
		}
		got, err := io.ReadAll(in)
		if err != nil || !bytes.Equal(got, module) {
			t.Errorf("%s: %v, and %d bytes of %d are the same", ext, err, len(got), len(module))
		}
	}
}
