//go:build guest

package scenarios

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TestStatusAndDiff: output and exit statuses of status and diff with the daemon, without it, and with a drift.
func TestStatusAndDiff(t *testing.T) {
	startWithModule(t)
	s, code := document(t, "status")
	if d := s.Daemon; code != 0 || !d.Running || d.PID != mainPID(t) || d.Mode != "enforce" || !d.Config.OK {
		t.Errorf("status with the daemon: %d, %+v", code, s.Daemon)
	}
	if since := time.Since(s.Daemon.Since); since < 0 || since > time.Minute {
		t.Errorf("since %s", s.Daemon.Since)
	}
	if s.Module.Name != "nf_conntrack" || s.Module.State != "loaded" || s.Module.Loads != 1 {
		t.Errorf("module %+v", s.Module)
	}
	// The figures of the table can be a second old.
	eventually(t, prompt, "max, buckets and expect_max of the table", func() bool {
		sizes := statusDocument(t).Table
		figures := []string{status.Figure(sizes.Max), status.Figure(sizes.Buckets), status.Figure(sizes.ExpectMax)}
		return slices.Equal(figures, []string{"300000", "100352", "4096"})
	})
	m := settingOf(s, "max")
	if m.Want != sysfs.Number(300000) || m.Live != m.Want || m.Policy != "exactly" || m.State != "in-sync" ||
		m.Origin.String() != mainFile+":2" {
		t.Errorf("max %+v", m)
	}
	if m.Drifts != 1 || m.LastDrift == nil || m.LastDrift.Cause != "module-load" || m.LastDrift.RepairedIn == 0 {
		t.Errorf("drifts of max: %d, %+v", m.Drifts, m.LastDrift)
	}
	run(t, "systemctl", "stop", unit)
	s, code = document(t, "status")
	if code != 0 || s.Daemon.Running || settingOf(s, "max").Live != sysfs.Number(300000) {
		t.Errorf("status without the daemon: %d, %+v", code, s)
	}
	if _, code := document(t, "diff"); code != 0 {
		t.Errorf("diff without a drift: exit status %d", code)
	}
	write(t, sysctl("max"), "65536")
	for _, command := range []string{"status", "diff"} {
		s, code := document(t, command)
		if m := settingOf(s, "max"); code != 1 || m.State != "drifted" || m.Live != sysfs.Number(65536) {
			t.Errorf("%s with max drifted: exit status %d, %+v", command, code, m)
		}
	}
	for _, command := range []string{"status", "diff"} {
		text, _ := runStdout(t, "ctkeeper", command)
		if !strings.Contains(text, "65536") || !strings.Contains(text, "300000") {
			t.Errorf("%s as a table:\n%s", command, text)
		}
		if strings.Contains(text, "\x1b[") {
			t.Errorf("%s uses colours without a terminal: %q", command, text)
		}
	}
	if got := read("max"); got != "65536" {
		t.Errorf("status or diff changed max to %s", got)
	}
}

// TestApply: one pass and its exit status. A second pass writes nothing.
func TestApply(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, usual)
	out, code := try(t, "ctkeeper", "apply")
	if code != 1 || !strings.Contains(out, "nf_conntrack") {
		t.Errorf("apply without the module: %d\n%s", code, out)
	}
	if isLoaded() {
		t.Error("apply loaded the module, which the configuration does not ask for")
	}
	run(t, "modprobe", "nf_conntrack")
	out, code = try(t, "ctkeeper", "apply")
	if code != 0 || !isApplied(usualValues) {
		t.Errorf("apply: %d\n%s", code, out)
	}
	writes := logWrites(t)
	if out, code := try(t, "ctkeeper", "apply"); code != 0 {
		t.Errorf("second apply: %d\n%s", code, out)
	}
	if seen := writes.files(); len(seen) != 0 {
		t.Errorf("the second apply wrote %v", seen)
	}
	out, code = try(t, asNobody[0], append(asNobody[1:], "ctkeeper", "apply")...)
	if code != 0 {
		t.Errorf("apply as nobody without a drift: exit status %d\n%s", code, out)
	}
	write(t, sysctl("max"), "65536")
	out, code = try(t, asNobody[0], append(asNobody[1:], "ctkeeper", "apply")...)
	if code != 1 || !strings.Contains(out, "max") {
		t.Errorf("apply as nobody with max drifted: exit status %d\n%s", code, out)
	}
}

// TestUnsupported: a setting that no kernel has is not an error. The others are applied.
func TestUnsupported(t *testing.T) {
	startDaemon(t, usual+"\n")
	const future = "  net.netfilter.nf_conntrack_from_the_future: 1\n"
	writeFile(t, mainFile, strings.Replace(usual, "settings:\n", "settings:\n"+future, 1))
	run(t, "systemctl", "reload", unit)
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	s, _ := document(t, "status")
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

// TestEvents: the daemon's history of drifts.
func TestEvents(t *testing.T) {
	since := startWithModule(t)
	write(t, sysctl("max"), "65539")
	since.wait(t, "drift", "max")
	waitApplied(t, prompt, usualValues)
	out, code := runStdout(t, "ctkeeper", "events", "-o", "json")
	if code != 0 {
		t.Errorf("exit status %d", code)
	}
	found := 0
	in := json.NewDecoder(strings.NewReader(out))
	for {
		var e struct {
			Event, Setting, Result, Cause string
			Found, Want                   json.Number
		}
		err := in.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("events -o json: %v\n%s", err, out)
		}
		if e.Event == "drift" && e.Setting == "max" && e.Found == "65539" &&
			e.Result == "repaired" && e.Cause == "write" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d such drifts, want 1:\n%s", found, out)
	}
	if table, code := runStdout(t, "ctkeeper", "events"); code != 0 || !strings.Contains(table, "65539") {
		t.Errorf("events as a table (%d):\n%s", code, table)
	}
}

// TestReadingLoadsNothing: no command that only reads loads the module or ctnetlink.
func TestReadingLoadsNothing(t *testing.T) {
	startDaemon(t, usual)
	commands := [][]string{
		{"status"}, {"status", "-o", "json"}, {"diff"}, {"diff", "-o", "yaml"}, {"events"},
		{"config", "show"}, {"config", "check"}, {"version"}, {"completion", "bash"},
	}
	for _, daemon := range []bool{true, false} {
		if !daemon {
			run(t, "systemctl", "stop", unit)
		}
		for _, args := range commands {
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

// TestReadingDoesNotPin: with the module loaded, commands that only read neither load ctnetlink nor keep the module
// from being unloaded.
func TestReadingDoesNotPin(t *testing.T) {
	startWithModule(t)
	for _, args := range [][]string{{"status"}, {"diff"}, {"events"}, {"config", "show"}} {
		if out, code := try(t, "ctkeeper", args...); code != 0 {
			t.Errorf("%v: %d\n%s", args, code, out)
		}
	}
	if _, err := os.Stat("/sys/module/nf_conntrack_netlink"); err == nil {
		t.Error("nf_conntrack_netlink was loaded")
	}
	run(t, "modprobe", "-r", "nf_conntrack")
}

// TestExitStatuses: wrong usage is 2, a refused configuration 78, and all its errors are printed at once.
func TestExitStatuses(t *testing.T) {
	cleanHost(t)
	writeFile(t, mainFile, broken)
	for _, c := range []struct {
		want int
		args []string
	}{
		{2, []string{"nonsense"}}, {2, []string{"status", "--nonsense"}}, {2, []string{"diff", "-o", "xml"}},
		{78, []string{"diff"}}, {78, []string{"status"}}, {78, []string{"apply"}}, {78, []string{"persist"}},
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
			t.Errorf("config check does not name %s\n%s", where, out)
		}
	}
}
