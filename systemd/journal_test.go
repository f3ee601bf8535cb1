package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

// sent is an entry that a core sent to the journal.
type sent struct {
	Message  string
	Priority journal.Priority
	Vars     map[string]string
}

// recorder returns a sender and the entries that it receives.
func recorder() (sender, *[]sent) {
	var entries []sent
	return func(message string, p journal.Priority, vars map[string]string) error {
		entries = append(entries, sent{message, p, vars})
		return nil
	}, &entries
}

var journalEntryTests = []struct {
	name string
	log  func(*zap.Logger)
	want sent
}{
	{
		name: "only a message",
		log:  func(l *zap.Logger) { l.Info("looking") },
		want: sent{"looking", journal.PriInfo, map[string]string{}},
	},
	{
		name: "drift",
		log: func(l *zap.Logger) {
			l.Warn("max was 65536, wanted 1048576: repaired",
				zap.String(KeyEvent, "drift"), zap.String(KeySetting, "max"),
				zap.String(KeyFound, "65536"), zap.String(KeyWant, "1048576"),
				zap.String(KeyResult, "repaired"), zap.String(KeyCause, "module-load"),
				zap.Duration(KeyDuration, 1234567*time.Nanosecond))
		},
		want: sent{
			"max was 65536, wanted 1048576: repaired",
			journal.PriWarning,
			map[string]string{
				"MESSAGE_ID":     MessageID("drift"),
				"CTKEEPER_EVENT": "drift", "CTKEEPER_SETTING": "max",
				"CTKEEPER_FOUND": "65536", "CTKEEPER_WANT": "1048576",
				"CTKEEPER_RESULT": "repaired", "CTKEEPER_CAUSE": "module-load",
				"CTKEEPER_DURATION_USEC": "1234",
			},
		},
	},
	{
		name: "event of the type",
		log:  func(l *zap.Logger) { l.Info("settled", zap.Any(KeyEvent, reconcile.KindSettled)) },
		want: sent{"settled", journal.PriInfo, map[string]string{
			"MESSAGE_ID": MessageID("settled"), "CTKEEPER_EVENT": "settled",
		}},
	},
	{
		name: "event that does not exist",
		log:  func(l *zap.Logger) { l.Info("odd", zap.String(KeyEvent, "odd")) },
		want: sent{"odd", journal.PriInfo, map[string]string{"CTKEEPER_EVENT": "odd"}},
	},
	{
		name: "error of several lines",
		log: func(l *zap.Logger) {
			l.Error("configuration refused", zap.Error(errors.Join(errors.New("a: one"), errors.New("b: two"))),
				zap.Int(KeyCount, 2))
		},
		want: sent{"configuration refused count=2: a: one; b: two", journal.PriErr, map[string]string{
			"CTKEEPER_ERROR": "a: one\nb: two", "CTKEEPER_COUNT": "2",
		}},
	},
	{
		name: "error that is in the message already",
		log:  func(l *zap.Logger) { l.Error("cannot run: no capability", zap.Error(errors.New("no capability"))) },
		want: sent{"cannot run: no capability", journal.PriErr,
			map[string]string{"CTKEEPER_ERROR": "no capability"}},
	},
	{
		name: "error with details",
		log:  func(l *zap.Logger) { l.Error("failed", zap.Error(detailed{})) },
		want: sent{"failed: short", journal.PriErr, map[string]string{
			"CTKEEPER_ERROR": "short", "CTKEEPER_ERROR_VERBOSE": "short\nand long",
		}},
	},
	{
		name: "fields of the logger",
		log: func(l *zap.Logger) {
			base := l.Named("keeper").With(zap.String("mode", "enforce"))
			base.With(zap.String(KeySource, "lost")).Debug("not this one")
			base.With(zap.String(KeySource, "timer")).Debug("pass", zap.String("mode", "observe"))
		},
		want: sent{"pass mode=enforce source=timer mode=observe", journal.PriDebug, map[string]string{
			"CTKEEPER_LOGGER": "keeper", "CTKEEPER_MODE": "observe", "CTKEEPER_SOURCE": "timer",
		}},
	},
	{
		name: "kinds of values",
		log: func(l *zap.Logger) {
			l.Info("all", zap.Bool("b", true), zap.Int64("i", -1), zap.Uint64("u", 18446744073709551615),
				zap.Float64("f", 0.5), zap.ByteString("bytes", []byte("x")),
				zap.Time("t", time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)),
				zap.Strings("files", []string{"a", "b c"}), zap.Skip(), zap.String("empty", ""),
				zap.String("words", "two words"), zap.Namespace("inner"), zap.Int("camelCase-9", 9))
		},
		want: sent{
			`all b=true i=-1 u=18446744073709551615 f=0.5 bytes=x t=2026-03-04T05:06:07.000008Z ` +
				`files="[\"a\",\"b c\"]" empty="" words="two words" inner_camelCase-9=9`,
			journal.PriInfo,
			map[string]string{
				"CTKEEPER_B": "true", "CTKEEPER_I": "-1", "CTKEEPER_U": "18446744073709551615",
				"CTKEEPER_F": "0.5", "CTKEEPER_T": "2026-03-04T05:06:07.000008Z", "CTKEEPER_BYTES": "x",
				"CTKEEPER_FILES": `["a","b c"]`, "CTKEEPER_EMPTY": "", "CTKEEPER_WORDS": "two words",
				"CTKEEPER_INNER_CAMEL_CASE_9": "9",
			},
		},
	},
}

func TestJournalEntry(t *testing.T) {
	for _, test := range journalEntryTests {
		t.Run(test.name, func(t *testing.T) {
			send, entries := recorder()
			test.log(zap.New(newJournalCore(zap.DebugLevel, send)))
			test.want.Vars["SYSLOG_IDENTIFIER"] = "ctkeeper"
			if len(*entries) == 0 {
				t.Fatal("nothing was sent")
			}
			if diff := cmp.Diff(test.want, (*entries)[len(*entries)-1]); diff != "" {
				t.Errorf("entry (-want +got):\n%s", diff)
			}
		})
	}
}

// detailed is an error with a longer text for %+v, which zap logs as a second field.
type detailed struct{}

func (detailed) Error() string { return "short" }

func (detailed) Format(f fmt.State, verb rune) { fmt.Fprint(f, "short\nand long") }

func TestJournalCaller(t *testing.T) {
	send, entries := recorder()
	zap.New(newJournalCore(zap.InfoLevel, send), zap.AddCaller()).Info("here")
	vars := (*entries)[0].Vars
	if !strings.HasSuffix(vars["CODE_FILE"], "/journal_test.go") || vars["CODE_LINE"] == "" ||
		!strings.HasSuffix(vars["CODE_FUNC"], ".TestJournalCaller") {
		t.Errorf("CODE_ fields do not name this test: %v", vars)
	}
}

func TestJournalLevels(t *testing.T) {
	send, entries := recorder()
	log := zap.New(newJournalCore(zap.InfoLevel, send))
	log.Debug("not enabled")
	if len(*entries) != 0 {
		t.Errorf("an entry under the level was sent: %v", *entries)
	}
	got := make(map[zapcore.Level]journal.Priority)
	for level := zap.DebugLevel; level <= zap.FatalLevel; level++ {
		got[level] = priority(level)
	}
	want := map[zapcore.Level]journal.Priority{
		zap.DebugLevel: 7, zap.InfoLevel: 6, zap.WarnLevel: 4, zap.ErrorLevel: 3,
		zap.DPanicLevel: 2, zap.PanicLevel: 2, zap.FatalLevel: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("priorities (-want +got):\n%s", diff)
	}
}

// An entry must not be lost silently if the journal cannot be reached: zap prints the error, so the error
// includes the message.
func TestJournalFailure(t *testing.T) {
	gone := errors.New("connection refused")
	send := func(string, journal.Priority, map[string]string) error { return gone }
	core := newJournalCore(zap.InfoLevel, send)
	err := core.Write(zapcore.Entry{Message: "drift repaired"}, []zapcore.Field{zap.String(KeySetting, "max")})
	const want = `cannot write "drift repaired setting=max" to the journal: connection refused`
	if err == nil || err.Error() != want || !errors.Is(err, gone) {
		t.Errorf("error %v, want %s", err, want)
	}
	var out bytes.Buffer
	zap.New(core, zap.ErrorOutput(zapcore.AddSync(&out))).Info("settled")
	if !strings.Contains(out.String(), "settled") {
		t.Errorf("the error output %q does not have the message", out.String())
	}
	if err := core.Sync(); err != nil {
		t.Errorf("Sync: %v", err)
	}
}

func TestVariableName(t *testing.T) {
	tests := map[string]string{
		"by_pid":                "CTKEEPER_BY_PID",
		"errorVerbose":          "CTKEEPER_ERROR_VERBOSE",
		"a.b-c d":               "CTKEEPER_A_B_C_D",
		"ümlaut":                "CTKEEPER__MLAUT",
		"URL":                   "CTKEEPER_URL",
		"":                      "CTKEEPER_",
		strings.Repeat("x", 99): "CTKEEPER_" + strings.Repeat("X", 64-len("CTKEEPER_")),
	}
	for key, want := range tests {
		if got := variableName(key); got != want {
			t.Errorf("variableName(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestOnJournal(t *testing.T) {
	for _, stream := range []string{"", "not a stream", "1:2"} {
		t.Setenv("JOURNAL_STREAM", stream)
		if OnJournal() {
			t.Errorf("JOURNAL_STREAM=%q: standard error is reported to be the journal", stream)
		}
	}
}

func BenchmarkJournalEntry(b *testing.B) {
	send := func(string, journal.Priority, map[string]string) error { return nil }
	log := zap.New(newJournalCore(zap.InfoLevel, send))
	b.ReportAllocs()
	for b.Loop() {
		log.Warn("drift repaired",
			zap.String(KeyEvent, "drift"), zap.String(KeySetting, "max"),
			zap.String(KeyFound, "65536"), zap.String(KeyWant, "1048576"),
			zap.String(KeyResult, "repaired"), zap.Duration(KeyDuration, time.Millisecond))
	}
}

// hasRoom waits no longer than its patience for a journal that does not read.
func TestHasRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	peer, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := hasRoom(path, time.Second); err != nil {
		t.Fatalf("an empty queue has no room: %v", err)
	}
	writer, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for full := false; !full; {
		if err := writer.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := writer.Write([]byte("x"))
		full = errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !full {
			t.Fatal(err)
		}
	}
	if err := hasRoom(path, 10*time.Millisecond); err == nil {
		t.Error("a full queue has room")
	}
	if _, err := peer.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := hasRoom(path, time.Second); err != nil {
		t.Errorf("after a read: %v", err)
	}
	if err := hasRoom(path+"-not", time.Second); err == nil {
		t.Error("a missing socket has room")
	}
}
