package daemon

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/status"
)

// inPod runs the daemon on mounts as in a pod, and returns the file of udp_timeout there.
func inPod(t *testing.T, yaml string, change ...func(*Options)) (d *running, udp string) {
	t.Helper()
	dir := netns.Mounts(t)
	host, err := tree.Tree{}.WithMounts(dir+"/proc", dir+"/sys")
	if err != nil {
		t.Fatal(err)
	}
	d = start(t, "", yaml, append(change, func(o *Options) { o.Source.Host = host })...)
	return d, dir + procUDP
}

// The daemon enforces through the mounts where its own /proc/sys is read-only, and its watchers work there. A
// write through a procfs of its own, as of another container, is found by the resync.
func TestEnforcesInAPod(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	d, udp := inPod(t, "settings: {udp_timeout: 33}\nenforcement: {resync: 1h}\n")
	if note := inotifyNote(d); !strings.Contains(note, filepath.Dir(filepath.Dir(udp))) ||
		!strings.Contains(note, "are found within 1h0m0s; the guard sees them at once") {
		t.Errorf("status on what inotify cannot see: %q", note)
	}
	if !d.logged("mounts: working on these files of the kernel, only the resync finds") {
		t.Error("the mounts are not logged")
	}
	if got := procValue(t, udp); got != "33" {
		t.Errorf("udp_timeout is %s when READY, want 33", got)
	}
	if err := os.WriteFile(procUDP, []byte("44"), 0); !errors.Is(err, syscall.EROFS) {
		t.Errorf("a write to %s: %v, want %v, as in a container", procUDP, err, syscall.EROFS)
	}
	if err := os.WriteFile(udp, []byte("55"), 0); err != nil {
		t.Fatal(err)
	}
	d.wait("repair of a write through the same mount", func() bool { return procValue(t, udp) == "33" })
	writeInContainer(t, "66")
	time.Sleep(200 * time.Millisecond)
	if got := procValue(t, udp); got != "66" {
		t.Errorf("udp_timeout is %s after a write through another procfs, want 66: inotify cannot see it", got)
	}
	write(t, d.config, "settings: {udp_timeout: 33}\nenforcement: {resync: 1s}\n")
	d.wait("repair by the reload", func() bool { return procValue(t, udp) == "33" })
	writeInContainer(t, "77")
	d.wait("repair by the resync", func() bool { return procValue(t, udp) == "33" })
}

func inotifyNote(d *running) string {
	for _, s := range d.status().Daemon.Sources {
		if s.Name == status.SourceSettings {
			return s.Note
		}
	}
	return "no such source"
}

// writeInContainer writes udp_timeout through the procfs of another pid namespace.
func writeInContainer(t *testing.T, value string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "mount -t proc proc /proc && echo "+value+" > "+procUDP)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("a container: %v: %s", err, out)
	}
}
