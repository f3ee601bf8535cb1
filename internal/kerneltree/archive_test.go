package kerneltree

import (
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnpack(t *testing.T) {
	root := t.TempDir()
	archive := filepath.Join(t.TempDir(), "host.txtar")
	text := "What is wrong here.\n" +
		"-- etc/one.conf --\na\nb\n" +
		"-- LINKS --\netc/link.conf -> one.conf\n" +
		"-- DIRS --\nvar/empty\n" +
		"-- MODES --\n0600 etc/one.conf\n" +
		"-- SYSCTLS --\nnet.netfilter.nf_conntrack_max = 65536\n" +
		"-- proc/net/nf_conntrack_expect.times-3 --\n{n} sip\n" +
		"-- proc/1/cmdline.nul --\ninit\nsplash\n" +
		"-- lib/modules/6.1/a.ko.modinfo --\nlicense=GPL\n\nparm=b:What b is.\n"
	if err := os.WriteFile(archive, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	Unpack(t, root, archive)
	got := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		info, _ := os.Lstat(path)
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			got[name] = "directory"
		case info.Mode()&fs.ModeSymlink != 0:
			got[name], err = os.Readlink(path)
		case filepath.Ext(name) == ".ko":
			var file *elf.File
			if file, err = elf.Open(path); err == nil {
				var data []byte
				data, err = file.Section(".modinfo").Data()
				got[name] = string(data)
				_ = file.Close()
			}
		default:
			var data []byte
			data, err = os.ReadFile(path)
			got[name] = info.Mode().String() + " " + string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		".": "directory", "etc": "directory", "var": "directory", "var/empty": "directory",
		"lib": "directory", "lib/modules": "directory", "lib/modules/6.1": "directory",
		"proc": "directory", "proc/net": "directory", "proc/sys": "directory", "proc/sys/net": "directory",
		"proc/sys/net/netfilter":                  "directory",
		"etc/one.conf":                            "-rw------- a\nb\n",
		"etc/link.conf":                           "one.conf",
		"proc/sys/net/netfilter/nf_conntrack_max": "-rw-r--r-- 65536\n",
		"proc/net/nf_conntrack_expect":            "-rw-r--r-- 1 sip\n2 sip\n3 sip\n",
		"proc/1":                                  "directory",
		"proc/1/cmdline":                          "-rw-r--r-- init\x00splash\x00",
		"lib/modules/6.1/a.ko":                    "license=GPL\x00parm=b:What b is.\x00",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// TestMachine compares what a kernel before 4.7 and a new one show when nf_conntrack is loaded.
func TestMachine(t *testing.T) {
	tests := map[string]struct {
		machine string
		files   map[string]string // "" is a file that must not exist
		buckets fs.FileMode
	}{
		"4.4": {
			"kernel 4.4.0-210-generic\nmemory 8\ncpus 2\nloaded xt_conntrack\nlive max=5\n",
			map[string]string{
				"proc/sys/net/netfilter/nf_conntrack_max": "5", "proc/sys/net/nf_conntrack_max": "5",
				"sys/module/nf_conntrack/parameters/hashsize":                 "65536",
				"proc/sys/net/netfilter/nf_conntrack_buckets":                 "65536",
				"proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established": "",
				"sys/module/nf_conntrack/holders/xt_conntrack":                " ",
				"sys/module/nf_defrag_ipv4":                                   "",
				"sys/devices/system/cpu/online":                               "0-1",
			}, 0o444,
		},
		"6.18": {
			"kernel 6.18.1-arch1-1\nmemory 4\nbuiltin\n",
			map[string]string{
				"proc/sys/net/netfilter/nf_conntrack_max":                     "65536",
				"proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established": "432000",
				"proc/sys/net/netfilter/nf_conntrack_dccp_loose":              "",
				"sys/module/nf_conntrack/initstate":                           "",
			}, 0o644,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			archive := filepath.Join(t.TempDir(), "host.txtar")
			if err := os.WriteFile(archive, []byte("-- MACHINE --\n"+test.machine), 0o644); err != nil {
				t.Fatal(err)
			}
			Unpack(t, root, archive)
			for file, want := range test.files {
				data, err := os.ReadFile(filepath.Join(root, file))
				got, isThere := strings.TrimSpace(string(data)), err == nil
				if got != strings.TrimSpace(want) || isThere != (want != "") {
					t.Errorf("%s is %q, %v, want %q", file, got, err, want)
				}
			}
			info, err := os.Stat(filepath.Join(root, path(t, "hashsize")))
			if err != nil || info.Mode() != test.buckets {
				t.Errorf("buckets %v, %v, want the mode %v", info, err, test.buckets)
			}
		})
	}
}
