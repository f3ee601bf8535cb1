//go:build guest

package scenarios

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStatusAndDiff: what the commands print and how they end, with the daemon,
// without it, and with something wrong (contract 1.1, 1.3).
func TestStatusAndDiff(t *testing.T) {
	keepLoaded(t)
	s, code := ask(t, "status")
	if code != 0 || !s.Daemon.Running || s.Daemon.PID != mainPID(t) || s.Daemon.Mode != "enforce" || !s.Daemon.Config.OK {
		t.Errorf("status with the daemon: %d, %+v", code, s.Daemon)
	}
	if since := time.Since(s.Daemon.Since); since < 0 || since > time.Minute {
		t.Errorf("since %s", s.Daemon.Since)
	}
	if s.Module.Name != "nf_conntrack" || s.Module.State != "loaded" || s.Module.Loads != 1 {
		t.Errorf("module %+v", s.Module)
	}
	if s.Table.Max != 300000 || s.Table.Buckets != 100352 || s.Table.ExpectMax != 4096 {
		t.Errorf("table %+v", s.Table)
	}
	m := s.setting("max")
	if m.Want != "300000" || m.Now != "300000" || m.Policy != "exactly" || m.State != "in-sync" || m.Origin != mainFile+":2" {
		t.Errorf("max %+v", m)
	}
	if m.Drifts != 1 || m.LastDrift == nil || m.LastDrift.Cause != "module-load" || m.LastDrift.RepairedIn == "" {
		t.Errorf("drifts of max: %d, %+v", m.Drifts, m.LastDrift)
	}
	run(t, "systemctl", "stop", unit)
	if s, code := ask(t, "status"); code != 0 || s.Daemon.Running || s.setting("max").Now != "300000" {
		t.Errorf("status without the daemon: %d, %+v", code, s)
	}
	if _, code := ask(t, "diff"); code != 0 {
		t.Errorf("diff with all in force: %d", code)
	}
	write(t, sysctl("max"), "65536")
	for _, command := range []string{"status", "diff"} {
		s, code := ask(t, command)
		if m := s.setting("max"); code != 1 || m.State != "drifted" || m.Now != "65536" {
			t.Errorf("%s with max wrong: %d, %+v", command, code, m)
		}
	}
	for _, command := range []string{"status", "diff"} {
		text, _ := stdout(t, "ctkeeper", command)
		if !strings.Contains(text, "65536") || !strings.Contains(text, "300000") {
			t.Errorf("%s as a table:\n%s", command, text)
		}
		if strings.Contains(text, "\x1b[") {
			t.Errorf("%s colours what is no terminal: %q", command, text)
		}
	}
	if got := read("max"); got != "65536" {
		t.Errorf("looking changed max to %s", got)
	}
}

// TestApply: one pass, its exit status, and nothing to write in a second one.
func TestApply(t *testing.T) {
	fresh(t)
	put(t, mainFile, usual)
	out, code := try(t, "ctkeeper", "apply")
	if code != 1 || !strings.Contains(out, "nf_conntrack") {
		t.Errorf("apply without the module: %d\n%s", code, out)
	}
	if loaded() {
		t.Error("apply loaded the module, unasked")
	}
	run(t, "modprobe", "nf_conntrack")
	out, code = try(t, "ctkeeper", "apply")
	if code != 0 || !holds(usualValues) {
		t.Errorf("apply: %d\n%s", code, out)
	}
	writes := logWrites(t)
	if out, code := try(t, "ctkeeper", "apply"); code != 0 {
		t.Errorf("second apply: %d\n%s", code, out)
	}
	if seen := writes.seen(); len(seen) != 0 {
		t.Errorf("the second apply wrote %v", seen)
	}
	out, code = try(t, asNobody[0], append(asNobody[1:], "ctkeeper", "apply")...)
	if code != 0 {
		t.Errorf("apply as nobody with all in force: %d\n%s", code, out)
	}
	write(t, sysctl("max"), "65536")
	out, code = try(t, asNobody[0], append(asNobody[1:], "ctkeeper", "apply")...)
	if code != 1 || !strings.Contains(out, "max") {
		t.Errorf("apply as nobody with max wrong: %d\n%s", code, out)
	}
}

// TestUnsupported: a key that no kernel has is no error; the rest is enforced.
func TestUnsupported(t *testing.T) {
	keep(t, usual+"\n")
	put(t, mainFile, strings.Replace(usual, "settings:\n", "settings:\n  net.netfilter.nf_conntrack_from_the_future: 1\n", 1))
	run(t, "systemctl", "reload", unit)
	run(t, "modprobe", "nf_conntrack")
	inForce(t, prompt, usualValues)
	s, _ := ask(t, "status")
	unsupported := 0
	for _, one := range s.Settings {
		if one.State == "unsupported" && strings.Contains(one.Name, "from_the_future") {
			unsupported++
		}
	}
	if unsupported != 1 {
		t.Errorf("%d unsupported settings, want 1: %+v", unsupported, s.Settings)
	}
}

// TestEvents: the history of drifts, from the daemon.
func TestEvents(t *testing.T) {
	since := keepLoaded(t)
	write(t, sysctl("max"), "65539")
	since.wait(t, "drift", "max")
	inForce(t, prompt, usualValues)
	out, code := stdout(t, "ctkeeper", "events", "-o", "json")
	if code != 0 {
		t.Errorf("exit status %d", code)
	}
	found := 0
	in := json.NewDecoder(strings.NewReader(out))
	for {
		var e struct{ Event, Setting, Found, Want, Result, Cause string }
		err := in.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("events -o json: %v\n%s", err, out)
		}
		if e.Event == "drift" && e.Setting == "max" && e.Found == "65539" && e.Result == "repaired" && e.Cause == "write" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the drift is there %d times:\n%s", found, out)
	}
	if table, code := stdout(t, "ctkeeper", "events"); code != 0 || !strings.Contains(table, "65539") {
		t.Errorf("events as a table (%d):\n%s", code, table)
	}
}

// TestLooking: no command that looks loads the module, or ctnetlink with it.
func TestLooking(t *testing.T) {
	keep(t, usual)
	looking := [][]string{
		{"status"}, {"status", "-o", "json"}, {"diff"}, {"diff", "-o", "yaml"}, {"events"},
		{"config", "show"}, {"config", "check"}, {"version"}, {"completion", "bash"},
	}
	for _, daemon := range []bool{true, false} {
		if !daemon {
			run(t, "systemctl", "stop", unit)
		}
		for _, args := range looking {
			out, code := try(t, "ctkeeper", args...)
			if code > 2 || strings.Contains(out, "panic") {
				t.Errorf("%v: exit status %d\n%s", args, code, out)
			}
			for _, module := range []string{"nf_conntrack", "nf_conntrack_netlink"} {
				if _, err := os.Stat("/sys/module/" + module + "/initstate"); err == nil {
					t.Fatalf("%v loaded %s (daemon: %t)", args, module, daemon)
				}
			}
		}
	}
}

// TestLookingDoesNotPin: with the module loaded, looking neither loads ctnetlink
// nor keeps the module from being unloaded.
func TestLookingDoesNotPin(t *testing.T) {
	keepLoaded(t)
	for _, args := range [][]string{{"status"}, {"diff"}, {"events"}, {"config", "show"}} {
		if out, code := try(t, "ctkeeper", args...); code != 0 {
			t.Errorf("%v: %d\n%s", args, code, out)
		}
	}
	if _, err := os.Stat("/sys/module/nf_conntrack_netlink"); err == nil {
		t.Error("looking loaded nf_conntrack_netlink")
	}
	run(t, "modprobe", "-r", "nf_conntrack")
}

// TestExitStatuses: usage is 2, a refused configuration 78, and the errors are
// all told at once.
func TestExitStatuses(t *testing.T) {
	fresh(t)
	put(t, mainFile, broken)
	for _, c := range []struct {
		want int
		args []string
	}{
		{2, []string{"nonsense"}}, {2, []string{"status", "--nonsense"}}, {2, []string{"diff", "-o", "xml"}},
		{78, []string{"config", "check"}}, {78, []string{"config", "check", mainFile}}, {78, []string{"run"}},
		{0, []string{"version"}}, {0, []string{"--help"}},
	} {
		out, code := try(t, "ctkeeper", c.args...)
		if code != c.want {
			t.Errorf("ctkeeper %s: exit status %d, want %d\n%s", strings.Join(c.args, " "), code, c.want, out)
		}
	}
	out, _ := try(t, "ctkeeper", "config", "check")
	for _, where := range []string{mainFile + ":2:", mainFile + ":3:", mainFile + ":4:"} {
		if !strings.Contains(out, where) {
			t.Errorf("config check says nothing of %s\n%s", where, out)
		}
	}
}
