package capability_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/capability"
)

// Every capability is held as proc_pid_status(5) has it, those above 31 included.
func TestHeld(t *testing.T) {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "CapEff:")
	text, _, _ = strings.Cut(text, "\n")
	effective, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for number := range unix.CAP_LAST_CAP + 1 {
		if got, want := capability.Held(number), effective&(1<<number) != 0; got != want {
			t.Errorf("capability %d: %t, want %t", number, got, want)
		}
	}
}
