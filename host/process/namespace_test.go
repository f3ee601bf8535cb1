package process

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const namespaceMarker = "CTKEEPER_TEST_PIDS"

// TestInHostPIDs looks from another pid namespace.
func TestInHostPIDs(t *testing.T) {
	if os.Getenv(namespaceMarker) != "" {
		in, known := InHostPIDs()
		t.Logf("host: %v, known: %v", in, known)
		return
	}
	netns.RequireRoot(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInHostPIDs$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceMarker+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "host: false, known: true") {
		t.Errorf("%v\n%s", err, out)
	}
}
