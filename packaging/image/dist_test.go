//go:build packages

package main

import (
	"bytes"
	"debug/elf"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/ctkeeper/ctkeeper/internal/container"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// dist is what `make image` made.
func dist(t *testing.T) layout.Path {
	t.Helper()
	path, err := layout.FromPath("../../dist/image")
	if err != nil {
		t.Fatalf("no image: run make image (%v)", err)
	}
	return path
}

// TestPackagesImage checks the promises about the image: two static programs, no shell, less than 40 MiB.
func TestPackagesImage(t *testing.T) {
	const limit = 40 << 20
	for platform, image := range readImages(t, readIndex(t, dist(t))) {
		files, size := readFiles(t, image), 0
		want := []string{"usr", "usr/bin", "usr/bin/ctkeeper", "usr/bin/ctkeeper-exporter"}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
			t.Errorf("%s has (-want +got):\n%s", platform, diff)
		}
		for name, f := range files {
			size += len(f.content)
			if f.mode.IsDir() {
				continue
			}
			program, err := elf.NewFile(strings.NewReader(f.content))
			if err != nil {
				t.Fatalf("%s of %s: %v", name, platform, err)
			}
			isDynamic := slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
			if isDynamic {
				t.Errorf("%s of %s needs a dynamic linker", name, platform)
			}
		}
		t.Logf("%s: %.1f MiB", platform, float64(size)/(1<<20))
		if size >= limit {
			t.Errorf("%s has %d bytes, at most %d", platform, size, limit)
		}
	}
}

// unpack writes this machine's image into a bundle, with a configuration.
func unpack(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]file{"config/ctkeeper.yaml": {mode: 0o644, content: "settings: {udp_timeout: 77}\n"}}
	for name, f := range readFiles(t, readImages(t, readIndex(t, dist(t)))["linux/"+runtime.GOARCH]) {
		files["rootfs/"+name] = f
	}
	for name, f := range files {
		if f.mode.IsDir() {
			continue
		}
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.content), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPackagesImageRuns runs the image by runc, as different users. User 0 owns the sysctls, and may write them without
// a capability. Another user needs CAP_NET_ADMIN (net_ctl_permissions), and on exec keeps only ambient capabilities,
// which Kubernetes has no field for. The hash table's size, in sysfs, is user 0's alone.
func TestPackagesImageRuns(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	if _, err := exec.LookPath("runc"); err != nil {
		netns.Cannot(t, "no runc: apt-get install runc")
	}
	const setting = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	netAdmin := []string{"CAP_NET_ADMIN"}
	for _, c := range []struct {
		name         string
		uid          int
		capabilities container.Capabilities
		want         string
	}{
		{"user 0 as in a pod", 0, container.Capabilities{Names: netAdmin}, "77"},
		{"another user as in a pod", 65532, container.Capabilities{Names: netAdmin}, "30"},
		{"another user, ambient capability", 65532, container.Capabilities{Names: netAdmin, Ambient: true}, "77"},
		{"user 0 without a capability", 0, container.Capabilities{}, "77"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(setting, []byte("30"), 0o644); err != nil {
				netns.Cannot(t, "needs nf_conntrack: %v", err)
			}
			dir := unpack(t)
			err := container.Write(dir, c.uid, c.capabilities, "/usr/bin/ctkeeper", "--path.procfs=/host/proc",
				"--path.sysfs=/host/sys", "apply")
			if err != nil {
				t.Fatal(err)
			}
			state := filepath.Join(dir, "state")
			out, err := exec.Command("runc", "--root", state, "run", "--bundle", dir, "ctkeeper-image").CombinedOutput()
			if isApplied := err == nil; isApplied != (c.want == "77") {
				t.Errorf("ctkeeper apply: %v\n%s", err, out)
			}
			got, err := os.ReadFile(setting)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(bytes.TrimSpace(got)); got != c.want {
				t.Errorf("udp_timeout is %s, want %s\n%s", got, c.want, out)
			}
		})
	}
}
