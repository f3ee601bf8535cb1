package guard

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// The ways to write $value to $file in a network namespace. The process $own is in the daemon's namespace.
var netnsWriters = []struct {
	name, line string
	own        bool // it takes effect in the daemon's namespace
}{
	{"in the own namespace", `echo $value >$file`, true},
	{"in another namespace", `unshare -n sh -c 'echo $value >$file && grep -qx $value $file'`, false},
	{"opened here, written by a process of another", `exec 3>$file; unshare -n sh -c 'echo $value >&3'`, true},
	{
		"opened in another, written by a process of this one",
		`unshare -n sh -c 'exec 3>$file; nsenter -n -t $own sh -c "echo $value >&3"; grep -qx $value $file'`, false,
	},
}

// TestNetns: a setting that each network namespace has for itself is blocked where the write takes effect in the
// daemon's namespace. A write that takes effect elsewhere succeeds and is not reported, whoever made it.
func TestNetns(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	cgroup, g := guardInCgroup(t)
	want := wantOf(t, "tcp_timeout_close", readFile(t, timeoutFile))
	if !g.Features().Netns || !g.CanBlock(want.Setting) || g.CanBlock(sysfs.Lookup("net.netfilter.nf_log.2")) {
		netns.Cannot(t, "%+v", g.Features())
	}
	s := runGuard(t, g)
	enterCgroup(t, cgroup)
	reports, value := 0, 60
	for _, mode := range []Mode{Watch, Lock, Hold} {
		setWants(t, g, mode, want)
		for _, writer := range netnsWriters {
			value++
			isBlocked := writer.own && mode != Watch
			cmd := exec.Command("sh", "-c", writer.line)
			cmd.Env = append(os.Environ(), "file="+timeoutFile, fmt.Sprint("value=", value),
				fmt.Sprint("own=", os.Getpid()))
			out, err := cmd.CombinedOutput()
			if isRefused := err != nil; isRefused != (isBlocked && mode == Lock) {
				t.Errorf("%s, mode %d: %v: %s", writer.name, mode, err, out)
			}
			isSet := readFile(t, timeoutFile) == fmt.Sprint(value)
			by := g.WriterOf(want.Setting, sysfs.Number(int64(value)), time.Time{})
			if takesEffect := writer.own && !isBlocked; isSet != takesEffect || (by != nil) != takesEffect {
				t.Errorf("%s, mode %d: set %v, its writer %v", writer.name, mode, isSet, by)
			}
			if isBlocked {
				reports++
			}
			if _, _, n := s.counts(); n != reports {
				t.Fatalf("%s, mode %d: %d reports, want %d", writer.name, mode, n, reports)
			}
		}
	}
}

// TestHoldEverySetting: each setting of a namespace has a handler of its own in the kernel, and each ignores a write
// that is absorbed.
func TestHoldEverySetting(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	cgroup, g := guardInCgroup(t)
	if !g.Features().Netns {
		netns.Cannot(t, "%+v", g.Features())
	}
	s := runGuard(t, g)
	other := map[string]string{} // another value than the live one, for each setting
	var wants []sysfs.Want
	for _, setting := range sysfs.Catalogue() {
		text, err := os.ReadFile("/" + setting.File())
		if setting.Global || errors.Is(err, os.ErrNotExist) {
			continue
		}
		value := setting.Parse(strings.TrimSpace(string(text)))
		n, isNumber := value.Int()
		if err != nil || !isNumber {
			t.Fatalf("%s is %q: %v", setting.Name, text, err)
		}
		wants = append(wants, sysfs.Want{Setting: setting, Policy: sysfs.Exactly, Value: value})
		other[setting.Name] = strconv.FormatInt(n^1, 10)
	}
	setWants(t, g, Hold, wants...)
	for i, want := range wants {
		name, file := want.Setting.Name, "/"+want.Setting.File()
		if _, err := writeIn(t, cgroup, file, other[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if live := readFile(t, file); live != want.Value.String() {
			t.Errorf("%s is %s, was %s", name, live, want.Value)
		}
		eventually(t, "the report of "+name, func() bool { _, _, n := s.counts(); return n == i+1 })
		if last := s.last(); last.Setting.Name != name || last.Value != other[name] || !last.Absorbed {
			t.Errorf("%s: %+v", name, last)
		}
	}
	if len(wants) < 20 {
		t.Errorf("only %d settings", len(wants))
	}
}
