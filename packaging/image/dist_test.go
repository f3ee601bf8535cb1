//go:build packages

package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
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

type object = map[string]any

// bundle writes an OCI bundle of this machine's image (github.com/opencontainers/runtime-spec): read-only root, no new
// privileges, and the binds of the pod.
func bundle(t *testing.T, uid int, capabilities object, command string) string {
	t.Helper()
	dir := t.TempDir()
	for name, f := range readFiles(t, readImages(t, readIndex(t, dist(t)))["linux/"+runtime.GOARCH]) {
		name = filepath.Join(dir, "rootfs", name)
		if f.mode.IsDir() {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.content), f.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	const settings = "settings: {udp_timeout: 77}\n"
	if err := os.WriteFile(filepath.Join(dir, "config/ctkeeper.yaml"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	var namespaces []object
	for _, kind := range []string{"pid", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, object{"type": kind})
	}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2", "root": object{"path": "rootfs", "readonly": true},
		"process": object{
			"user": object{"uid": uid, "gid": uid}, "cwd": "/", "noNewPrivileges": true, "capabilities": capabilities,
			"args": []string{"/usr/bin/ctkeeper", "--path.procfs=/host/proc", "--path.sysfs=/host/sys", command},
		},
		"mounts": []object{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/host/proc/sys/net", "source": "/proc/sys/net", "options": []string{"bind"}},
			{"destination": "/host/sys/module", "source": "/sys/module", "options": []string{"bind"}},
			{"destination": "/etc/ctkeeper", "source": filepath.Join(dir, "config"), "options": []string{"bind", "ro"}},
		},
		"linux": object{"namespaces": namespaces, "readonlyPaths": []string{"/proc/sys"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPackagesImageRuns runs the image by runc, with the rights of the pod and those of other users: the kernel lets
// CAP_NET_ADMIN write a network namespace's sysctls, whoever owns them (net_ctl_permissions). On exec another user than
// 0 keeps only ambient capabilities, which Kubernetes has no field for.
func TestPackagesImageRuns(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	if _, err := exec.LookPath("runc"); err != nil {
		netns.Cannot(t, "no runc: apt-get install runc")
	}
	const setting = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	netAdmin := []string{"CAP_NET_ADMIN"}
	kubernetes := object{"bounding": netAdmin, "effective": netAdmin, "permitted": netAdmin}
	ambient := object{"inheritable": netAdmin, "ambient": netAdmin}
	maps.Copy(ambient, kubernetes)
	for _, c := range []struct {
		name         string
		uid          int
		capabilities object
		want         string
	}{
		{"user 0 as in a pod", 0, kubernetes, "77"},
		{"another user as in a pod", 65532, kubernetes, "30"},
		{"another user with an ambient capability", 65532, ambient, "77"},
		{"no capability", 0, object{}, "30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(setting, []byte("30"), 0o644); err != nil {
				netns.Cannot(t, "needs nf_conntrack: %v", err)
			}
			dir := bundle(t, c.uid, c.capabilities, "apply")
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
