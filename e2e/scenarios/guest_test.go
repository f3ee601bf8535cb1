//go:build guest

package scenarios

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	sysctlDir = "/proc/sys/net/netfilter"
	alias     = "/proc/sys/net/nf_conntrack_max"
	paramDir  = "/sys/module/nf_conntrack/parameters"
	mainFile  = "/etc/ctkeeper/ctkeeper.yaml"
	modprobeD = "/etc/modprobe.d/e2e.conf"

	// prompt is the longest time for a repair after an event. An emulated processor is slow, but not as slow as the
	// resync of usual, which is a minute.
	prompt = 4 * time.Second
)

// usual is the configuration of most scenarios. Its resync is so long that a prompt repair must be due to an event.
const usual = `settings:
  max: 300000
  hashsize: 100000
  expect_max: 4096
  tcp_timeout_established: 2h
enforcement:
  resync: 60s
`

// usualValues are the live values when usual is applied.
var usualValues = map[string]string{
	"max": "300000", "buckets": "100352", "expect_max": "4096", "tcp_timeout_established": "7200",
}

// run runs a command that must succeed and returns its output, both streams.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := try(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit status %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

// try runs a command and returns its output, both streams, and its exit status.
func try(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%s: %v", name, err)
	} else if ok {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// runStdout runs a command and returns its standard output and its exit status.
func runStdout(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	if errs.Len() > 0 {
		t.Logf("%s %s: standard error: %s", name, strings.Join(args, " "), errs.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// eventually waits until cond is true and returns how long that took. After timeout it fails the scenario.
func eventually(t *testing.T, timeout time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > timeout {
			t.Fatalf("not within %s: %s", timeout, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

// read returns the live value of a setting, or "" if it has no file.
func read(name string) string {
	content, err := os.ReadFile(filepath.Join(sysctlDir, "nf_conntrack_"+name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// write writes a kernel file as other programs do: it opens it once and writes once.
func write(t *testing.T, path, value string) {
	t.Helper()
	if err := tryWrite(path, value); err != nil {
		t.Fatal(err)
	}
}

// tryWrite is write with the error of the kernel.
func tryWrite(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// sysctl returns the path of a setting's file.
func sysctl(name string) string { return filepath.Join(sysctlDir, "nf_conntrack_"+name) }

// writeFile writes an ordinary file and the directories above it.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// isApplied reports whether settings have the wanted live values.
func isApplied(want map[string]string) bool {
	for name, value := range want {
		if read(name) != value {
			return false
		}
	}
	return true
}

// waitApplied waits until settings have the wanted live values and returns how long that took.
func waitApplied(t *testing.T, timeout time.Duration, want map[string]string) time.Duration {
	t.Helper()
	start := time.Now()
	for !isApplied(want) {
		if time.Since(start) > timeout {
			for name, value := range want {
				if got := read(name); got != value {
					t.Errorf("after %s: %s is %q, want %q", timeout, name, got, value)
				}
			}
			t.FailNow()
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(start)
}

// isLoaded reports whether nf_conntrack is loaded.
func isLoaded() bool {
	_, err := os.Stat("/sys/module/nf_conntrack/initstate")
	return err == nil
}

// flushRules removes every rule that may hold conntrack's modules.
func flushRules(t *testing.T) {
	t.Helper()
	run(t, "nft", "flush", "ruleset")
}

// unload unloads conntrack after the modules that use it. A module can be busy for a moment after its last rule is
// removed.
func unload(t *testing.T) {
	t.Helper()
	flushRules(t)
	last := ""
	eventually(t, 10*time.Second, "conntrack unloaded", func() bool {
		last = removeUsersFirst(t, "nf_conntrack")
		if last != "" {
			t.Logf("unload: %s", last)
		}
		return !isLoaded()
	})
}

// removeUsersFirst unloads a module after its users and returns the last error of modprobe, or "".
func removeUsersFirst(t *testing.T, module string) string {
	t.Helper()
	modules, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(modules)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] != module {
			continue
		}
		for user := range strings.SplitSeq(strings.TrimSuffix(f[3], ","), ",") {
			if user != "-" && user != "" {
				removeUsersFirst(t, user)
			}
		}
		if out, code := try(t, "modprobe", "-r", module); code != 0 {
			return strings.TrimSpace(out)
		}
	}
	return ""
}

// number parses a decimal that the kernel or systemd printed.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
