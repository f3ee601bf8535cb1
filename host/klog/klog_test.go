package klog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	tableFull = "nf_conntrack: nf_conntrack: table full, dropping packet"
	allInUse  = "nf_ct_sip: dropping packet: all ports in use for SDP media"
	refused   = "Couldn't write '8192' to 'net/netfilter/nf_conntrack_expect_max', ignoring: No such file or directory"
)

func all(string) bool { return true }

func conntrack(text string) bool { return strings.HasPrefix(text, "nf_") }

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name, text string
		want       record
		ok         bool
	}{
		{"plain", "4,1234,98765432,-;" + tableFull + "\n", record{98765432 * time.Microsecond, tableFull}, true},
		{
			"with fields of its device", "6,1,2,-;eth0: up\n SUBSYSTEM=net\n DEVICE=n2\n",
			record{2 * time.Microsecond, "eth0: up"}, true,
		},
		{"with a caller and whatever comes", "6,1,2,c,caller=T1,x;a;b\n", record{2 * time.Microsecond, "a;b"}, true},
		{"escapes", `4,1,2,-;a\x09b\x5cx41\xzz\x4` + "\n", record{2 * time.Microsecond, "a\tb\\x41\\xzz\\x4"}, true},
		{"empty", "4,1,2,-;\n", record{2 * time.Microsecond, ""}, true},
		{"of a program: facility 3", "30,1,2,-;" + tableFull + "\n", record{}, false},
		{"no level", "x,1,2,-;text\n", record{}, false},
		{"no time", "4,1,x,-;text\n", record{}, false},
		{"a time of more than 292 years", "4,1,9223372036854775807,-;text\n", record{}, false},
		{"too few fields", "4,1;text\n", record{}, false},
		{"no text", "4,1,2,-", record{}, false},
		{"nothing", "", record{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseRecord(test.text)
			if ok != test.ok {
				t.Errorf("ok: want %v, got %v", test.ok, ok)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(record{})); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseEntry(t *testing.T) {
	said := time.UnixMicro(1_700_000_000_000_000)
	tests := []struct {
		name, line string
		want       Message
		ok         bool
	}{
		{
			"as journald was told later",
			`{"MESSAGE":"` + tableFull + `","SYSLOG_FACILITY":"0","__REALTIME_TIMESTAMP":"1700000004000000",` +
				`"__MONOTONIC_TIMESTAMP":"9000000","_SOURCE_MONOTONIC_TIMESTAMP":"5000000"}`,
			Message{Source: tree.Place{File: "journal"}, At: said, Text: tableFull}, true,
		},
		{
			"without the kernel's time", `{"MESSAGE":"a","__REALTIME_TIMESTAMP":"1700000000000000"}`,
			Message{Source: tree.Place{File: "journal"}, At: said, Text: "a"}, true,
		},
		{"without any time", `{"MESSAGE":"a"}`, Message{Source: tree.Place{File: "journal"}, Text: "a"}, true},
		{"bytes", `{"MESSAGE":[97,255,98]}`, Message{Source: tree.Place{File: "journal"}, Text: "a\xffb"}, true},
		{"no bytes", `{"MESSAGE":[97,256]}`, Message{}, false},
		{"left out for its length", `{"MESSAGE":null}`, Message{}, false},
		{"no message", `{}`, Message{}, false},
		{"of a program", `{"MESSAGE":"a","SYSLOG_FACILITY":"3"}`, Message{}, false},
		{
			"of systemd-sysctl", `{"MESSAGE":"a","SYSLOG_FACILITY":"3","_SYSTEMD_UNIT":"systemd-sysctl.service"}`,
			Message{Source: tree.Place{File: "journal"}, Text: "a"}, true,
		},
		{
			"of a program with that identifier",
			`{"MESSAGE":"a","SYSLOG_FACILITY":"3","SYSLOG_IDENTIFIER":"systemd-sysctl"}`,
			Message{}, false,
		},
		{"no JSON", `-- No entries --`, Message{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseEntry([]byte(test.line))
			if ok != test.ok {
				t.Errorf("ok: want %v, got %v", test.ok, ok)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       Message
		ok         bool
	}{
		{"dmesg", "[   12.345678] " + tableFull, Message{Text: tableFull}, true},
		{"dmesg, long up", "[1234567.345678] " + tableFull, Message{Text: tableFull}, true},
		{"dmesg -T", "[Mon Jan  5 10:11:12 2026] " + tableFull, Message{Text: tableFull}, true},
		{"dmesg -x", "kern  :warn  : [   12.345678] " + tableFull, Message{Text: tableFull}, true},
		{"dmesg -r", "<4>[   12.345678] " + tableFull, Message{Text: tableFull}, true},
		{"syslog", "Feb  3 10:00:01 gw1 kernel: [   12.345678] " + tableFull, Message{Text: tableFull}, true},
		{"syslog without printk's time", "Feb 13 10:00:01 gw1 kernel: " + tableFull, Message{Text: tableFull}, true},
		{
			"syslog of RFC 3339", "2026-02-03T10:00:01.5+01:00 gw1 kernel: " + tableFull,
			Message{At: time.Date(2026, 2, 3, 9, 0, 1, 500_000_000, time.UTC), Text: tableFull}, true,
		},
		{"a strange time", "2026-02-03Tx gw1 kernel: [ 1.2] a", Message{Text: "a"}, true},
		{
			"BusyBox's syslog", "Feb  3 10:00:01 gw1 kern.warn kernel: [   12.345678] " + tableFull,
			Message{Text: tableFull}, true,
		},
		{"systemd-sysctl", "Feb  3 10:00:01 gw1 systemd-sysctl[312]: " + refused, Message{Text: refused}, true},
		{"another's sysctl", "Feb  3 10:00:01 gw1 my-systemd-sysctl[312]: " + refused, Message{}, false},
		{"a program", "Feb  3 10:00:01 gw1 sshd[12]: kernel: " + tableFull, Message{}, false},
		{"a program that quotes", "Feb  3 10:00:01 gw1 app: x gw1 kernel: " + tableFull, Message{}, false},
		{"neither", tableFull, Message{}, false},
		{"brackets", "[error] no", Message{}, false},
		{"nothing", "", Message{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseLine(test.line)
			if ok != test.ok {
				t.Errorf("ok: want %v, got %v", test.ok, ok)
			}
			if !ok {
				got = Message{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func put(t *testing.T, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadTree(t *testing.T) {
	root := t.TempDir()
	put(t, root, "var/log/kern.log",
		"Feb  3 10:00:01 gw1 kernel: [    9.1] nf_conntrack: of the boot before\n"+
			"Feb  3 11:00:00 gw1 kernel: [    0.0] Linux version 6.1.0-18-amd64\n"+
			"Feb  3 11:00:01 gw1 systemd[1]: nf_conntrack: not the kernel\n"+
			"Feb  3 11:00:01 gw1 kernel: [    2.5] "+tableFull+"\n"+
			"Feb  3 11:00:02 gw1 kernel: [    3.5] eth0: link up\n")
	put(t, root, "sos_commands/kernel/dmesg", "[    7.5] "+allInUse+"\n")
	if err := os.Symlink("sos_commands/kernel/dmesg", filepath.Join(root, "dmesg")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "var/log/messages"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := Read(t.Context(), tree.At(root), conntrack)
	want := Log{
		Messages: []Message{
			{Source: tree.Place{File: "/var/log/kern.log", Line: 4}, Text: tableFull},
			{Source: tree.Place{File: "/dmesg", Line: 1}, Text: allInUse},
		},
		Sources: []string{"/var/log/kern.log", "/dmesg"},
		Troubles: []tree.Trouble{{
			Place: tree.Place{File: "/var/log/messages"},
			Err:   &fs.PathError{Op: "read", Path: "/var/log/messages", Err: unix.EISDIR},
		}},
	}
	// Errors are compared by their text.
	said := cmp.Transformer("said", func(trouble tree.Trouble) string { return trouble.Error() })
	if diff := cmp.Diff(want, got, said); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestReadEndOfLongFile(t *testing.T) {
	root := t.TempDir()
	line := "Feb  3 10:00:01 gw1 kernel: [    9.1] nf_conntrack: " + strings.Repeat("x", 4000) + "\n"
	put(t, root, "var/log/syslog", strings.Repeat(line, 1500)+"Feb  3 10:00:01 gw1 kernel: "+tableFull+"\n")
	got := Read(t.Context(), tree.At(root), func(text string) bool { return text == tableFull })
	want := []Message{{Source: tree.Place{File: "/var/log/syslog"}, Text: tableFull}}
	if diff := cmp.Diff(want, got.Messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestReadNothing(t *testing.T) {
	got := Read(t.Context(), tree.At(t.TempDir()), all)
	want := "cannot read the kernel's log: none of /var/log/kern.log, /var/log/messages, /var/log/syslog, " +
		"/var/log/dmesg, /dmesg, /sos_commands/kernel/dmesg: file does not exist"
	if got.Err == nil || got.Err.Error() != want || !errors.Is(got.Err, fs.ErrNotExist) {
		t.Errorf("want %q, got %v", want, got.Err)
	}
}

func TestReadUnreadableFile(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "dmesg"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := Read(t.Context(), tree.At(root), all)
	want := "cannot read the kernel's log: read /dmesg: is a directory"
	if got.Err == nil || got.Err.Error() != want {
		t.Errorf("want %q, got %v", want, got.Err)
	}
}

func TestReadKeepsTheLast(t *testing.T) {
	kept := ring{match: all}
	const n = 3*maxMessages + 5
	for i := range n {
		kept.add(Message{Text: fmt.Sprint(i)})
	}
	got := kept.last()
	if len(got) != maxMessages || got[0].Text != fmt.Sprint(n-maxMessages) || got[len(got)-1].Text != fmt.Sprint(n-1) {
		t.Errorf("%d kept, from %s to %s", len(got), got[0].Text, got[len(got)-1].Text)
	}
}

// fakeJournalctl puts a script named journalctl first in PATH.
func fakeJournalctl(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestReadLiveThroughTheJournal(t *testing.T) {
	fakeJournalctl(t,
		`echo '{"MESSAGE":"`+tableFull+`"}'; echo '{"MESSAGE":"eth0: link up"}'; printf '{"MESSAGE":"nf_cut'`)
	got := readLive(t.Context(), filepath.Join(t.TempDir(), "kmsg"), conntrack)
	want := Log{
		Messages: []Message{{Source: tree.Place{File: "journal"}, Text: tableFull}},
		Sources:  []string{"journal"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// TestReadLiveWithSysctl: the messages of systemd-sysctl, which only the journal has, are added to the kernel's.
func TestReadLiveWithSysctl(t *testing.T) {
	device := filepath.Join(t.TempDir(), "kmsg")
	if err := os.WriteFile(device, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fakeJournalctl(t,
		`test "$*" = "--boot --output=json --lines=40000 --no-pager --quiet `+
			`_SYSTEMD_UNIT=systemd-sysctl.service" && cat <<'END'
{"MESSAGE":"`+refused+`","SYSLOG_FACILITY":"3","_SYSTEMD_UNIT":"systemd-sysctl.service"}
END
`)
	got := readLive(t.Context(), device, all)
	want := Log{
		Messages: []Message{{Source: tree.Place{File: "journal"}, Text: refused}},
		Sources:  []string{device, "journal"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	fakeJournalctl(t, "exit 1")
	if diff := cmp.Diff(Log{Sources: []string{device}}, readLive(t.Context(), device, all)); diff != "" {
		t.Errorf("log where the journal cannot be read (-want +got):\n%s", diff)
	}
}

func TestReadLiveErrors(t *testing.T) {
	device := filepath.Join(t.TempDir(), "kmsg")
	before := "cannot read the kernel's log: open " + device + ": no such file or directory\ncannot read the journal: "
	tests := []struct{ name, script, want string }{
		{"empty", "exit 0", before + "no message of the kernel, or none that this user may read"},
		{"refused", "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
			before + "exit status 1: No journal files were opened due to insufficient permissions."},
		{"refused at length", "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1",
			before + "exit status 1: " + strings.Repeat("x", 1<<10)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fakeJournalctl(t, test.script)
			got := readLive(t.Context(), device, all)
			if got.Err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, got.Err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadLiveIsCancelled(t *testing.T) {
	fakeJournalctl(t, "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got := readLive(ctx, filepath.Join(t.TempDir(), "kmsg"), all)
	if !errors.Is(got.Err, context.DeadlineExceeded) {
		t.Errorf("want %v, got %v", context.DeadlineExceeded, got.Err)
	}
}

func TestReadLiveWithoutJournalctl(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	got := readLive(t.Context(), filepath.Join(t.TempDir(), "kmsg"), all)
	if !errors.Is(got.Err, fs.ErrNotExist) {
		t.Errorf("want %v, got %v", fs.ErrNotExist, got.Err)
	}
}

// TestReadDevice reads this machine's log if it may. The log of every kernel has messages, all of the past.
func TestReadDevice(t *testing.T) {
	messages, err := readDevice(t.Context(), kmsgDevice, all)
	if err != nil {
		t.Skipf("cannot read this machine's log: %v", err)
	}
	if len(messages) == 0 {
		t.Skip("this machine's log is empty")
	}
	for i, m := range messages {
		if m.Source.File != kmsgDevice || m.At.IsZero() || m.At.After(time.Now().Add(time.Minute)) {
			t.Errorf("message %d: %+v", i, m)
		}
	}
}

func TestReadDeviceIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	device := filepath.Join(t.TempDir(), "kmsg")
	if err := os.WriteFile(device, []byte("6,1,1,-;x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	messages, err := readDevice(ctx, device, all)
	if !errors.Is(err, context.Canceled) || messages != nil {
		t.Errorf("want %v, got %d messages, %v", context.Canceled, len(messages), err)
	}
}

// TestReadOtherDevice: another device at the log's path is an error, and not an empty log.
func TestReadOtherDevice(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{fifo, "/dev/null", "/dev/zero"} {
		messages, err := readDevice(t.Context(), device, all)
		if !errors.Is(err, errNoLog) || messages != nil {
			t.Errorf("%s: want %v, got %d messages, %v", device, errNoLog, len(messages), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("4,1234,98765432,-;" + `a\x09b` + "\n SUBSYSTEM=net\n")
	f.Add(`{"MESSAGE":[97,255],"SYSLOG_FACILITY":"0","__REALTIME_TIMESTAMP":"1700000000000000"}`)
	f.Add("Feb  3 10:00:01 gw1 kernel: [   12.345678] " + tableFull)
	f.Add("2026-02-03T10:00:01.5+01:00 gw1 kernel: Linux version 6\n[    0.1] x")
	f.Fuzz(func(t *testing.T, text string) {
		if r, ok := parseRecord(text); ok && r.since < 0 {
			t.Errorf("logged %v before boot", r.since)
		}
		_, _ = parseEntry([]byte(text))
		lines := strings.Count(text, "\n") + 1
		for _, m := range parseFile("/dmesg", []byte(text), true) {
			if m.Source.Line < 1 || m.Source.Line > lines {
				t.Errorf("line %d of %d", m.Source.Line, lines)
			}
		}
	})
}
