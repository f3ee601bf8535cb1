//go:build guest && owners

package scenarios

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/container"
)

// TestOwnerNoneContainer: in a container with the rights of the chart's pod, CAP_NET_ADMIN and nothing else, ctkeeper
// applies max and hashsize, repairs them, and sees the module come back. Only the first network namespace can write
// these two.
func TestOwnerNoneContainer(t *testing.T) {
	ownedHost(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "rootfs/usr/bin/ctkeeper")
	writeFile(t, filepath.Join(dir, "config/ctkeeper.yaml"), usual)
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "install", "/usr/bin/ctkeeper", program)
	err := container.Write(dir, 0, container.Capabilities{Names: []string{"CAP_NET_ADMIN"}}, "/usr/bin/ctkeeper", "run",
		"--path.procfs=/host/proc", "--path.sysfs=/host/sys", "--log-format=console")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "modprobe", "nf_conntrack")
	// The guest's root is the initramfs, which pivot_root(2) refuses.
	keeper := exec.Command("runc", "run", "--no-pivot", "--bundle", dir, "e2e-keeper")
	var out strings.Builder
	keeper.Stdout, keeper.Stderr = &out, &out
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run(t, "runc", "kill", "e2e-keeper", "TERM")
		if err := keeper.Wait(); err != nil {
			t.Errorf("the container: %v", err)
		}
		t.Logf("output of the container:\n%s", out.String())
	})
	waitApplied(t, restarted, usualValues)
	write(t, sysctl("max"), "55555")
	write(t, "/sys/module/nf_conntrack/parameters/hashsize", "1024")
	t.Logf("repaired after %s", waitApplied(t, restarted, usualValues))
	unload(t)
	run(t, "modprobe", "nf_conntrack")
	t.Logf("applied after a reload of the module after %s", waitApplied(t, restarted, usualValues))
}
