package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// archived returns the files of a support archive, by their names without the first directory.
func archived(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(zip); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		files[name] = string(content)
	}
}

func TestSupport(t *testing.T) {
	root := host(t, "# password: hunter2\nsettings: {max: 65536}\n")
	kerneltree.Put(t, root, "/proc/cmdline", "quiet luks.key=hunter2 nf_conntrack.hashsize=9\n")
	kerneltree.Put(t, root, "/proc/version", "Linux version 6.1.0\n")
	kerneltree.Put(t, root, "/etc/ctkeeper/web.yaml", "basic_auth_users: {a: hunter2}\n")
	kerneltree.Put(t, root, "/etc/ctkeeper/conf.d/50-x.yaml", "guard: off\n")
	kerneltree.Put(t, root, "/proc/net/nf_conntrack", "ipv4 2 tcp 6 src=192.0.2.77\n")
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar.gz")
	ctkeeper(t.Context(), "support", "--root", root, "-O", file).wants(t, 0,
		[]string{" README.txt\n", "wrote " + file + ". Nothing is sent: review it before you send it."}, nil)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, error %v", info, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := archived(t, content)
	for name, want := range map[string]string{
		"README.txt": "Review it before you send it.", "config.txt": "max: 65536", "status.json": `"api": 1`,
		"diff.txt": "Nothing differs", "doctor.txt": "(exit status ", "version.txt": "ctkeeper ",
		"kernel.txt": "Linux version 6.1.0\nnf_conntrack.hashsize=9\n", "guard.txt": "mode:    off",
		"values.txt": "/proc/sys/net/netfilter/nf_conntrack_max 65536\n", "events.txt": "(exit status ",
		"files/etc/ctkeeper/ctkeeper.yaml":    "# password: (left out)\n",
		"files/etc/ctkeeper/conf.d/50-x.yaml": "guard: off\n",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s does not have %q:\n%s", name, want, files[name])
		}
	}
	for name, text := range files {
		for _, secret := range []string{"hunter2", "192.0.2.77"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %s:\n%s", name, secret, text)
			}
		}
	}
	// Another time it does not replace the file.
	again := ctkeeper(t.Context(), "support", "--root", root, "-O", file)
	again.wants(t, 1, nil, []string{"cannot write the archive: open"})
	// Into the current directory, and to standard output.
	t.Chdir(dir)
	ctkeeper(t.Context(), "support", "--root", root).wants(t, 0, []string{"wrote ctkeeper-support-tree-"}, nil)
	if found, _ := filepath.Glob("ctkeeper-support-tree-*.tar.gz"); len(found) != 1 {
		t.Errorf("found %q", found)
	}
	got := ctkeeper(t.Context(), "support", "--root", root, "-O", "-")
	if got.status != 0 || len(archived(t, []byte(got.stdout))) != len(files) ||
		!strings.Contains(got.stderr, " README.txt\n") {
		t.Errorf("status %d, standard error:\n%s", got.status, got.stderr)
	}
}

// TestSupportOfARefusedConfiguration is when it is needed most.
func TestSupportOfARefusedConfiguration(t *testing.T) {
	root := host(t, "settngs: {}\n")
	got := ctkeeper(t.Context(), "support", "--root", root, "-O", "-")
	check := archived(t, []byte(got.stdout))["check.txt"]
	if got.status != 0 || !strings.Contains(check, "did you mean settings?") {
		t.Errorf("status %d, check.txt:\n%s", got.status, check)
	}
}
