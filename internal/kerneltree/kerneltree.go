package kerneltree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	moduleDir = "sys/module/nf_conntrack"
	aliasFile = "proc/sys/net/nf_conntrack_max"
	countFile = "proc/sys/net/netfilter/nf_conntrack_count"
)

// defaults are the values of a 64-bit kernel 6.x on a host with 4 GiB. A setting that is not here is 0 if it is a
// boolean, else 30.
var defaults = map[string]string{
	"hashsize": "65536", "max": "65536", "expect_max": "1024",
	"checksum": "1", "events": "2", "tcp_loose": "1", "dccp_loose": "1",
	"log_invalid": "0", "tcp_max_retrans": "3", "generic_timeout": "600",
	"tcp_timeout_syn_sent": "120", "tcp_timeout_syn_recv": "60", "tcp_timeout_established": "432000",
	"tcp_timeout_fin_wait": "120", "tcp_timeout_close_wait": "60", "tcp_timeout_time_wait": "120",
	"tcp_timeout_close": "10", "tcp_timeout_max_retrans": "300", "tcp_timeout_unacknowledged": "300",
	"udp_timeout_stream": "120", "gre_timeout_stream": "180", "sctp_timeout_established": "210",
	"frag6_timeout": "60", "frag6_high_thresh": "4194304", "frag6_low_thresh": "3145728",
}

// New returns the root of a host with 4 GiB of RAM and nf_conntrack loaded. Every setting of the catalogue has its
// file, with the kernel's default.
func New(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	Put(t, root, "proc/meminfo", "MemTotal:        4194304 kB\nMemFree:         2097152 kB\n")
	Load(t, root)
	return root
}

// Load changes the tree as loading nf_conntrack does, in the kernel's order: the module is coming, its files appear
// with their defaults, the module is live.
func Load(t testing.TB, root string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, moduleDir, "holders"), 0o755); err != nil {
		t.Fatal(err)
	}
	Put(t, root, moduleDir+"/initstate", "coming\n")
	Put(t, root, moduleDir+"/parameters/expect_hashsize", "256\n")
	Put(t, root, countFile, "0\n")
	Put(t, root, "proc/net/nf_conntrack_expect", "")
	for _, s := range sysfs.Catalogue() {
		Put(t, root, s.File(), fallback(s)+"\n")
	}
	// These files show the same variable.
	link(t, root, path(t, "hashsize"), moduleDir+"/parameters/hashsize")
	link(t, root, path(t, "max"), aliasFile)
	Put(t, root, moduleDir+"/initstate", "live\n")
}

// Unload removes what Load made.
func Unload(t testing.TB, root string) {
	t.Helper()
	gone := []string{countFile, aliasFile, "proc/net/nf_conntrack_expect", moduleDir}
	for _, s := range sysfs.Catalogue() {
		gone = append(gone, s.File())
	}
	for _, name := range gone {
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// BuiltIn makes the module built into the kernel image.
func BuiltIn(t testing.TB, root string) {
	t.Helper()
	for _, name := range []string{"initstate", "holders"} {
		if err := os.Remove(filepath.Join(root, moduleDir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Get returns the live value of a setting.
func Get(t testing.TB, root, setting string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path(t, setting)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// Set writes a setting in place, as another program would: in one write, so that no reader reads a part of it.
func Set(t testing.TB, root, setting, value string) {
	t.Helper()
	full := filepath.Join(root, path(t, setting))
	before, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(full, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(value + strings.Repeat(" ", max(0, len(before)-len(value)-1)) + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// Remove removes a setting's file, as on a kernel without this setting.
func Remove(t testing.TB, root, setting string) {
	t.Helper()
	if err := os.Remove(filepath.Join(root, path(t, setting))); err != nil {
		t.Fatal(err)
	}
}

// Put writes a file below root, with the directories above it.
func Put(t testing.TB, root, name, content string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, root, from, to string) {
	t.Helper()
	full := filepath.Join(root, to)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(root, from), full); err != nil {
		t.Fatal(err)
	}
}

func path(t testing.TB, setting string) string {
	t.Helper()
	s := sysfs.Lookup(setting)
	if s == nil {
		t.Fatalf("no such setting: %s", setting)
	}
	return s.File()
}

func fallback(s *sysfs.Setting) string {
	switch value, known := defaults[s.Name]; {
	case known:
		return value
	case s.Kind == sysfs.Bool:
		return "0"
	default:
		return "30"
	}
}
