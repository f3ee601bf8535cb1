package kmod

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

func TestRelease(t *testing.T) {
	tests := []struct{ file, want, err string }{
		{"6.1.0-50-cloud-amd64\n", "6.1.0-50-cloud-amd64", ""},
		{"7.2.13+deb14-amd64", "7.2.13+deb14-amd64", ""},
		{"\n", "", `cannot read the kernel's release: /proc/sys/kernel/osrelease has ""`},
		{"../../etc\n", "", `cannot read the kernel's release: /proc/sys/kernel/osrelease has "../../etc"`},
		{"..\n", "", `cannot read the kernel's release: /proc/sys/kernel/osrelease has ".."`},
		{strings.Repeat("x", 5000), "", "cannot read the kernel's release: read /proc/sys/kernel/osrelease: " +
			"file too large"},
	}
	for _, test := range tests {
		root := t.TempDir()
		kerneltree.Put(t, root, "proc/sys/kernel/osrelease", test.file)
		got, err := Release(tree.At(root))
		if got != test.want || text(err) != test.err {
			t.Errorf("%.20q: %q, %q", test.file, got, text(err))
		}
	}
	const want = "cannot read the kernel's release: open /proc/sys/kernel/osrelease: no such file or directory"
	if _, err := Release(tree.At(t.TempDir())); text(err) != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %q, want %q", text(err), want)
	}
}

func TestInstalledReleases(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"6.2/modules.dep", "6.1/modules.dep", "6.0/modules.order"} {
		kerneltree.Put(t, root, "usr/lib/modules/"+name, "")
	}
	if diff := cmp.Diff([]string{"6.1", "6.2"}, InstalledReleases(tree.At(root))); diff != "" {
		t.Errorf("in /usr (-want +got):\n%s", diff)
	}
	link(t, "usr/lib", filepath.Join(root, "lib"))
	if diff := cmp.Diff([]string{"6.1", "6.2"}, InstalledReleases(tree.At(root))); diff != "" {
		t.Errorf("merged /usr (-want +got):\n%s", diff)
	}
	if got := InstalledReleases(tree.At(t.TempDir())); got != nil {
		t.Errorf("in an empty tree: %q", got)
	}
}

const modulesDep = "kernel/net/netfilter/nf_conntrack.ko.xz: kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko.xz " +
	"kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko.xz kernel/lib/libcrc32c.ko.xz" + `
kernel/lib/libcrc32c.ko.xz:
/lib/modules/6.1/extra/some-thing.ko: kernel/net/netfilter/nf_conntrack.ko.xz
updates/nf_conntrack.ko:
`

func TestReadIndex(t *testing.T) {
	root := t.TempDir()
	const dir = "lib/modules/6.1/"
	kerneltree.Put(t, root, dir+"modules.dep", modulesDep)
	kerneltree.Put(t, root, dir+"modules.builtin", "kernel/net/ipv4/tcp-cubic.ko\n")
	kerneltree.Put(t, root, dir+"modules.softdep", "# Soft dependencies extracted from modules themselves.\n"+
		"softdep libcrc32c pre: crc32c\nsoftdep libcrc32c pre: second\nsoftdep some-thing post: a b\n")
	got, err := ReadIndex(tree.At(root), "6.1")
	if err != nil {
		t.Fatal(err)
	}
	want := Index{
		Dir: "/lib/modules/6.1",
		Files: map[string]string{
			"nf_conntrack": "kernel/net/netfilter/nf_conntrack.ko.xz", "libcrc32c": "kernel/lib/libcrc32c.ko.xz",
			"some_thing": "/lib/modules/6.1/extra/some-thing.ko",
		},
		Depends: map[string][]string{
			"nf_conntrack": {"nf_defrag_ipv6", "nf_defrag_ipv4", "libcrc32c"}, "some_thing": {"nf_conntrack"},
		},
		BuiltIn: map[string]bool{"tcp_cubic": true},
		Softdeps: map[string]string{
			"libcrc32c": "pre: crc32c", "some_thing": "post: a b",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
	for module, path := range map[string]string{
		"nf-conntrack": "/lib/modules/6.1/kernel/net/netfilter/nf_conntrack.ko.xz",
		"some_thing":   "/lib/modules/6.1/extra/some-thing.ko",
		"tcp_cubic":    "",
	} {
		if got := got.Path(module); got != path {
			t.Errorf("path of %s: %q, want %q", module, got, path)
		}
	}
}

func TestReadIndexCorrupt(t *testing.T) {
	root := t.TempDir()
	const dir = "usr/lib/modules/6.1/"
	kerneltree.Put(t, root, dir+"modules.dep",
		"what\nkernel/x.txt: \nkernel/a.ko: nonsense kernel/b.ko\n"+strings.Repeat("y\n", 20))
	kerneltree.Put(t, root, dir+"modules.softdep", "kernel\x00")
	got, err := ReadIndex(tree.At(root), "6.1")
	if err != nil {
		t.Fatal(err)
	}
	if got.Dir != "/usr/lib/modules/6.1" {
		t.Errorf("directory %s", got.Dir)
	}
	if diff := cmp.Diff(map[string][]string{"a": {"b"}}, got.Depends); diff != "" {
		t.Errorf("depends (-want +got):\n%s", diff)
	}
	troubles := texts(got.Troubles)
	if len(troubles) != maxTroubles+3 {
		t.Fatalf("troubles %q", troubles)
	}
	want := []string{
		`/usr/lib/modules/6.1/modules.dep:1: invalid line "what"`,
		`/usr/lib/modules/6.1/modules.dep:2: invalid line "kernel/x.txt:"`,
		"/usr/lib/modules/6.1/modules.dep: and 12 more lines like these",
		"/usr/lib/modules/6.1/modules.builtin: cannot open: no such file or directory",
		"/usr/lib/modules/6.1/modules.softdep: binary file",
	}
	if diff := cmp.Diff(want, append(troubles[:2:2], troubles[maxTroubles:]...)); diff != "" {
		t.Errorf("troubles (-want +got):\n%s", diff)
	}
}

func TestReadIndexMissing(t *testing.T) {
	for release, want := range map[string]string{
		"6.1":    "cannot read the modules of release 6.1: open /usr/lib/modules/6.1: no such file or directory",
		"../etc": `cannot read the modules of release "../etc": file does not exist`,
		"":       `cannot read the modules of release "": file does not exist`,
	} {
		got, err := ReadIndex(tree.At(t.TempDir()), release)
		if text(err) != want || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %q, want %q", text(err), want)
		}
		if release == "6.1" && got.Dir != "/lib/modules/6.1" {
			t.Errorf("directory %q", got.Dir)
		}
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{
		"kernel/a-b.ko": "a_b", "a.ko.gz": "a", "/x/a.ko.xz": "a", "a.ko.zst": "a", "a.ko/": "a",
		"a.ko.bz2": "", "a": "", ".ko": "", "": "",
	} {
		if got, ok := moduleName(file); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", file, got, ok)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(modulesDep, "kernel/x.ko\n", "softdep a pre: b\n")
	f.Add("a.ko:\n:b\na.ko a.ko:", "\xff.ko", "softdep a\nsoftdep\n")
	f.Fuzz(func(t *testing.T, dep, builtin, softdep string) {
		x := Index{
			Dir: "/lib/modules/x", Files: map[string]string{}, Depends: map[string][]string{},
			BuiltIn: map[string]bool{}, Softdeps: map[string]string{},
		}
		for line := range strings.Lines(dep) {
			x.addDepends(line)
		}
		for line := range strings.Lines(builtin) {
			x.addBuiltIn(line)
		}
		for line := range strings.Lines(softdep) {
			x.addSoftdep(line)
		}
		for name := range x.Depends {
			if path := x.Path(name); !strings.HasPrefix(path, "/") {
				t.Errorf("path of %q: %q", name, path)
			}
		}
		for name := range x.BuiltIn {
			if name == "" || NormalizeName(name) != name {
				t.Errorf("built in: %q", name)
			}
		}
	})
}
