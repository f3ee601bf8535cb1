package firewall

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// installPrograms makes PATH a directory with these scripts only.
func installPrograms(t *testing.T, scripts map[string]string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "sbin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, script := range scripts {
		script = "#!/bin/sh\nPATH=/usr/bin:/bin\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return dir
}

const loadedNft = "sys/module/nf_tables/initstate"

func TestReadLegacy(t *testing.T) {
	installPrograms(t, map[string]string{
		"iptables-legacy-save": `[ "$*" = "-M /bin/true -t raw" ] || { echo "# $*"; exit; }
			echo '-A OUTPUT -j CT --helper sip'`,
	})
	root := t.TempDir()
	put(t, root, "proc/net/ip_tables_names", "filter\nraw\n")
	put(t, root, "proc/net/ip6_tables_names", "")
	put(t, root, "proc/sys/kernel/osrelease", "6.1.0\n")
	put(t, root, "lib/modules/6.1.0/modules.dep", "")
	var got Rules
	readLive(t.Context(), tree.At(root), &got)
	const source = "iptables-legacy-save -t raw"
	equal(t, Rules{
		Helpers: []HelperRule{{Place: at(source, 1), Name: "sip", Rule: "-A OUTPUT -j CT --helper sip", Live: true}},
		Modules: map[string]tree.Place{"xt_CT": at(source, 1)},
		Sources: []string{"iptables-legacy-save -t filter", source},
	}, got)
}

func TestReadNft(t *testing.T) {
	installPrograms(t, map[string]string{
		"nft":                `[ "$*" = "-j list ruleset" ] && cat <<'END'` + "\n" + ruleset + "\nEND",
		"iptables-nft-save":  `[ "$*" = "-M /bin/true -t raw" ] && echo '-A PREROUTING -j CT --helper pptp'`,
		"ip6tables-nft-save": "exit 3", // not run: its raw table has no CT target
	})
	root := t.TempDir()
	put(t, root, loadedNft, "live\n")
	var got Rules
	readLive(t.Context(), tree.At(root), &got)
	if len(got.Helpers) != 5 {
		t.Fatalf("%d helpers: %+v", len(got.Helpers), got.Helpers)
	}
	last := HelperRule{
		Place: at("iptables-nft-save -t raw", 1), Name: "pptp", Rule: "-A PREROUTING -j CT --helper pptp", Live: true,
	}
	if got.Helpers[4] != last || !got.Helpers[0].Live {
		t.Errorf("helpers: %+v", got.Helpers)
	}
	equal(t, Rules{Sources: []string{"nft -j list ruleset", "iptables-nft-save -t raw"}},
		Rules{Sources: got.Sources, Skipped: got.Skipped})
}

func TestNotRead(t *testing.T) {
	const unknownNft = "cannot find out whether the kernel has nf_tables: "
	tests := []struct {
		name    string
		scripts map[string]string
		files   map[string]string
		want    map[string]string
	}{
		{
			"permission denied",
			map[string]string{
				"nft":                   "echo 'you must be root' >&2; exit 1",
				"ip6tables-legacy-save": "echo 'Permission denied' >&2; exit 4",
			},
			map[string]string{loadedNft: "live\n", "proc/net/ip6_tables_names": "raw\n"},
			map[string]string{
				"nft -j list ruleset":          "cannot run nft: exit status 1: you must be root",
				"ip6tables-legacy-save -t raw": "cannot run ip6tables-legacy-save: exit status 4: Permission denied",
			},
		},
		{
			"no JSON",
			map[string]string{"nft": "echo JSON support not compiled-in"},
			map[string]string{loadedNft: "live\n"},
			map[string]string{
				"nft -j list ruleset": "cannot read the ruleset: invalid character 'J' looking for beginning of value",
			},
		},
		{
			"not installed", nil,
			map[string]string{loadedNft: "live\n", "proc/net/ip_tables_names": "raw\n"},
			map[string]string{
				"nft -j list ruleset":  `exec: "nft": executable file not found in $PATH`,
				"iptables-legacy-save": "no iptables-save for legacy tables is installed",
			},
		},
		{
			"no iptables-nft-save",
			map[string]string{
				"nft": `echo '{"nftables": [{"rule": {"family": "ip", "table": "raw", "expr": [{"xt": null}]}}]}'`,
			},
			map[string]string{loadedNft: "live\n"},
			map[string]string{"iptables-nft-save -t raw": "no iptables-save for nf_tables is installed"},
		},
		{
			"a kernel without modules.builtin", nil,
			map[string]string{"proc/sys/kernel/osrelease": "6.1.0\n"},
			map[string]string{"nft -j list ruleset": unknownNft},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			installPrograms(t, test.scripts)
			root := t.TempDir()
			for path, text := range test.files {
				put(t, root, path, text)
			}
			var got Rules
			readLive(t.Context(), tree.At(root), &got)
			for source, why := range got.Skipped { // the rest is kmod's
				if strings.HasPrefix(why, unknownNft) {
					got.Skipped[source] = unknownNft
				}
			}
			equal(t, Rules{Skipped: test.want}, Rules{Skipped: got.Skipped})
		})
	}
}

func TestHasNftables(t *testing.T) {
	root := t.TempDir()
	put(t, root, "proc/sys/kernel/osrelease", "6.1.0\n")
	put(t, root, "lib/modules/6.1.0/modules.dep", "")
	for _, test := range []struct {
		builtIn string
		want    bool
	}{
		{"kernel/net/netfilter/nf_conntrack.ko\n", false},
		{"kernel/net/netfilter/nf_tables.ko\n", true},
	} {
		put(t, root, "lib/modules/6.1.0/modules.builtin", test.builtIn)
		if got, err := hasNftables(tree.At(root)); err != nil || got != test.want {
			t.Errorf("%q: want %v, got %v, %v", test.builtIn, test.want, got, err)
		}
	}
}

func TestFindSave(t *testing.T) {
	dir := installPrograms(t,
		map[string]string{"xtables-nft-multi": "", "xtables-legacy-multi": "", "ip6tables-save": ""})
	link := filepath.Join(dir, "iptables-save")
	find := func(tool, suffix string, nft bool) string {
		path, err := findSave(tool, suffix, nft)
		if err != nil {
			return err.Error()
		}
		return filepath.Base(path)
	}
	check := func(of, want, got string) {
		t.Helper()
		if want != got {
			t.Errorf("%s: want %q, got %q", of, want, got)
		}
	}
	for _, target := range []string{"legacy", "nft"} {
		_ = os.Remove(link) // absent in the first round
		if err := os.Symlink("xtables-"+target+"-multi", link); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"legacy", "nft"} {
			want := "iptables-save"
			if kind != target {
				want = map[string]error{"legacy": errNoLegacySave, "nft": errNoNftSave}[kind].Error()
			}
			check(kind+" with a link to "+target, want, find("iptables", "-"+kind+"-save", kind == "nft"))
		}
	}
	check("a version before nf_tables", "ip6tables-save", find("ip6tables", "-legacy-save", false))
}

func TestRun(t *testing.T) {
	dir := installPrograms(t, map[string]string{
		"echoes": `echo "$LC_ALL $*"; echo no >&2`,
		"fails":  "head -c 5000 /dev/zero | tr '\\0' x >&2; exit 2",
		"flood":  "exec cat /dev/zero",
	})
	out, err := run(t.Context(), filepath.Join(dir, "echoes"), "a", "b c")
	if err != nil || string(out) != "C a b c\n" {
		t.Errorf("got %q, %v", out, err)
	}
	tests := []struct{ program, want string }{
		{"fails", "cannot run fails: exit status 2: " + strings.Repeat("x", 1<<10)},
		{"flood", "cannot run flood: too much output: more than 16777216 bytes"},
		{"gone", "cannot run gone: fork/exec " + dir + "/gone: no such file or directory"},
	}
	for _, test := range tests {
		out, err := run(t.Context(), filepath.Join(dir, test.program))
		if err == nil || err.Error() != test.want || out != nil {
			t.Errorf("%s: want %q, got %d bytes, %v", test.program, test.want, len(out), err)
		}
	}
}

func TestRunIsCancelled(t *testing.T) {
	dir := installPrograms(t, map[string]string{"hangs": "exec sleep 60"})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := run(ctx, filepath.Join(dir, "hangs")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want %v, got %v", context.DeadlineExceeded, err)
	}
}

// TestChildCannotLoadModules compares bounding sets: a child of root has all capabilities but
// CAP_SYS_MODULE, and this process keeps its own.
func TestChildCannotLoadModules(t *testing.T) {
	netns.RequireRoot(t)
	before := bounding(t, "/proc/thread-self/status")
	if before&(1<<unix.CAP_SYS_MODULE) == 0 {
		t.Skip("this process has no CAP_SYS_MODULE itself")
	}
	dir := installPrograms(t, map[string]string{"child": "cat /proc/self/status"})
	for range 20 { // on different threads
		status, err := run(t.Context(), filepath.Join(dir, "child"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := boundingIn(t, string(status)), before&^(1<<unix.CAP_SYS_MODULE); got != want {
			t.Errorf("bounding set of the child: want %x, got %x", want, got)
		}
		if after := bounding(t, "/proc/thread-self/status"); after != before {
			t.Errorf("bounding set of this process: want %x, got %x", before, after)
		}
	}
}

// TestDropWithoutSetpcap is root in a container that has neither CAP_SYS_MODULE nor CAP_SETPCAP.
func TestDropWithoutSetpcap(t *testing.T) {
	netns.RequireRoot(t)
	err := withoutModules(func() error { // on a thread that ends with this function
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			return err
		}
		data[0].Effective &^= 1 << unix.CAP_SETPCAP
		if err := unix.Capset(&header, &data[0]); err != nil {
			return err
		}
		return dropModuleCapability()
	})
	if err != nil {
		t.Error(err)
	}
}

func bounding(t *testing.T, path string) uint64 {
	t.Helper()
	status, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return boundingIn(t, string(status))
}

func boundingIn(t *testing.T, status string) uint64 {
	t.Helper()
	_, rest, _ := strings.Cut(status, "\nCapBnd:")
	text, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
