//go:build node

package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const (
	// victim is set in the process that TestKilled starts and kills.
	victim = "CTKEEPER_NODE_VICTIM"
	// mark is an argument of a process in the namespaces.
	mark = "123456"
)

// TestKilled: when the test program is killed, nothing is left of a node: no process, and no control group. Mounts and
// network are those of the namespaces, which end with the last process.
func TestKilled(t *testing.T) {
	switch {
	case os.Getenv(roleVariable) == first:
		occupy(t)
	case os.Getenv(victim) != "":
		child, _, err := startSupervisor("^TestKilled$", nil, os.Stdout)
		if err == nil {
			err = child.Wait()
		}
		t.Fatal(err)
	}
	netns.RequireRoot(t)
	child := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), victim+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	group := ""
	for lines := bufio.NewScanner(out); group == "" && lines.Scan(); {
		_, group, _ = strings.Cut(lines.Text(), "occupied ")
	}
	if left := leftOf(t, group); group == "" || len(left) < 2 {
		t.Errorf("leftOf does not find what runs in %q: %v", group, left)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	Eventually(t, soon, "nothing is left", func() error {
		if left := leftOf(t, group); len(left) > 0 {
			return errors.New(strings.Join(left, ", "))
		}
		return nil
	})
}

// occupy starts a process in a control group below the node's in each hierarchy, reports it, and waits for its end.
func occupy(t *testing.T) {
	t.Helper()
	group := os.Getenv(groupVariable)
	command := exec.Command("sleep", mark)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	dirs, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if strings.HasSuffix(dir, "/cpuset") {
			continue // a new one has no processors
		}
		below := filepath.Join(dir, group, "below")
		procs := filepath.Join(below, "cgroup.procs")
		pid := []byte(strconv.Itoa(command.Process.Pid))
		if err := errors.Join(os.Mkdir(below, 0o755), os.WriteFile(procs, pid, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("occupied " + group)
	_ = command.Wait()
}

// leftOf returns what a node has on this host.
func leftOf(t *testing.T, group string) (left []string) {
	t.Helper()
	dirs, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, group)); err == nil {
			left = append(left, filepath.Join(dir, group))
		}
	}
	for _, p := range process.List(tree.At("/")) {
		if slices.Equal(p.Args, []string{"sleep", mark}) {
			left = append(left, fmt.Sprintf("process %d", p.PID))
		}
	}
	return left
}
