package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

var storedAt = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func stored(n int) reconcile.Event {
	return reconcile.Event{At: storedAt, Kind: reconcile.KindDrift, Setting: "max", Message: fmt.Sprint("event ", n)}
}

func entries(events ...reconcile.Event) []entry {
	var all []entry
	for _, e := range events {
		all = append(all, newEntry(e))
	}
	return all
}

func messages(events []reconcile.Event) string {
	var texts []string
	for _, e := range events {
		texts = append(texts, strings.TrimPrefix(e.Message, "event "))
	}
	return strings.Join(texts, " ")
}

func TestHistoryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "events.jsonl")
	file := &historyFile{path: path}
	if err := file.append(entries(stored(1), stored(2))); err != nil {
		t.Fatal(err)
	}
	// The host went down while event 3 was written, and somebody left a note.
	raw, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.WriteString("a note\n\n{}\n[1]\n" + `{"at":"2026-03-01T12:00:00Z","event":"dri`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(raw.Chmod(0o600), raw.Close(), file.append(entries(stored(4)))); err != nil {
		t.Fatal(err)
	}
	events, foreign, err := ReadHistory(path)
	if err != nil || foreign != 4 || messages(events) != "1 2 4" {
		t.Errorf("events %q, %d foreign lines (%v), want 1 2 4 and 4", messages(events), foreign, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != historyMode {
		t.Errorf("mode %v (%v), want %o", info.Mode(), err, historyMode)
	}
}

func TestHistoryFileIsBounded(t *testing.T) {
	file := &historyFile{path: filepath.Join(t.TempDir(), "events.jsonl")}
	all := newHistory()
	most := 0
	for n := range 2*maxHistoryLines + 5 {
		all.add(stored(n))
		if err := file.store(entries(stored(n)), all); err != nil {
			t.Fatal(err)
		}
		if n%300 == 0 {
			text, err := os.ReadFile(file.path)
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, strings.Count(string(text), "\n"))
		}
	}
	events, foreign, err := ReadHistory(file.path)
	if err != nil || foreign != 0 || len(events) != historySize ||
		events[historySize-1].Message != fmt.Sprint("event ", 2*maxHistoryLines+4) {
		t.Errorf("%d events, %d foreign lines (%v), want the last %d", len(events), foreign, err, historySize)
	}
	if most > maxHistoryLines {
		t.Errorf("%d lines, more than %d", most, maxHistoryLines)
	}
}

func TestHistoryFileOfAnotherKind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events.jsonl")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&historyFile{path: path}).append(entries(stored(1))); err == nil {
		t.Error("a pipe was written to")
	}
	if _, _, err := ReadHistory(path); err == nil {
		t.Error("a pipe was read")
	}
	other := filepath.Join(dir, "other") // a history, so that only the link is wrong
	err := errors.Join((&historyFile{path: other}).append(entries(stored(1))),
		os.Remove(path), os.Symlink(other, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&historyFile{path: path}).append(entries(stored(1))); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("append through a link: %v, want %v", err, syscall.ELOOP)
	}
	if _, _, err := ReadHistory(path); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("read through a link: %v, want %v", err, syscall.ELOOP)
	}
}

func TestRecall(t *testing.T) {
	h := newHistory()
	h.add(stored(10))
	h.prepend(entries(stored(1), stored(2)))
	h.add(stored(11))
	if got := messages(allOf(h)); got != "1 2 10 11" {
		t.Errorf("remembered %q", got)
	}
	own, next, _ := h.from(0)
	if got := messages(decode(own)); got != "10 11" || next != 2 {
		t.Errorf("of this daemon %q, next %d", got, next)
	}
	many := make([]entry, historySize)
	h.prepend(many)
	if got := len(allOf(h)); got != historySize {
		t.Errorf("%d events remembered, want %d", got, historySize)
	}
	h.add(reconcile.Event{Error: strings.Repeat("ä", maxText)})
	if last := allOf(h)[historySize-1]; len(last.Error) > maxText+len("…") || !strings.HasSuffix(last.Error, "ä…") {
		t.Errorf("an error of %d bytes is remembered", len(last.Error))
	}
}

// What happened before a restart is shown after it, and by a reader without a daemon.
func TestHistorySurvives(t *testing.T) {
	root := kerneltree.New(t)
	path := filepath.Join(t.TempDir(), "events.jsonl")
	keep := func(o *Options) { o.History = path }
	first := start(t, root, "settings: {max: 100000}\n", keep)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, root, "settings: {max: 100000}\n", keep)
	var seen []string
	second.wait("the history", func() bool {
		seen = nil
		err := status.NewClient(second.socket).Events(context.Background(), time.Time{}, false,
			func(e reconcile.Event) error {
				seen = append(seen, string(e.Kind)+" "+e.Found.String())
				return nil
			})
		return err == nil && len(seen) == 3
	})
	want := []string{"config-loaded ", "drift 65536", "config-loaded "}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	events, foreign, err := ReadHistory(path)
	if err != nil || foreign != 0 || len(events) != 3 {
		t.Errorf("%d events, %d foreign lines (%v) on disk, want 3 and 0", len(events), foreign, err)
	}
}

// A disk that takes nothing is said once and keeps no setting from being repaired; what
// happened meanwhile is written when it can be.
func TestHistoryWithoutDisk(t *testing.T) {
	root := kerneltree.New(t)
	dir := t.TempDir()
	blocked := filepath.Join(dir, "state")
	write(t, blocked, "a file where the directory has to be")
	d := start(t, root, "settings: {max: 100000}\n",
		func(o *Options) { o.History = filepath.Join(blocked, "events.jsonl") })
	kerneltree.Set(t, root, "max", "5")
	d.wait("repair", func() bool { return kerneltree.Get(t, root, "max") == "100000" })
	d.wait("warning", func() bool { return d.logged("history: cannot write the file") })
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	d.wait("the history", func() bool {
		events, _, err := ReadHistory(filepath.Join(blocked, "events.jsonl"))
		return !errors.Is(err, fs.ErrNotExist) && len(events) == 3
	})
	if got := len(d.logs.FilterMessageSnippet("history: cannot write the file").All()); got != 1 {
		t.Errorf("it was said %d times, want once", got)
	}
}

func TestHistoryPath(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/other:/var/lib/private/ctkeeper")
	for root, want := range map[string]string{"": "/var/lib/private/ctkeeper/events.jsonl",
		"/disk": "/disk/var/lib/ctkeeper/events.jsonl"} {
		if got := status.HistoryPath(root); got != want {
			t.Errorf("HistoryPath(%q) is %s, want %s", root, got, want)
		}
	}
	t.Setenv("STATE_DIRECTORY", "/var/lib/other")
	if got := status.HistoryPath(""); got != "/var/lib/ctkeeper/events.jsonl" {
		t.Errorf("HistoryPath is %s in another unit", got)
	}
}

// Of a long file only the newest lines are decoded. Lines of any length and kind are skipped.
func TestParseHistory(t *testing.T) {
	long := strings.Repeat("x", maxHistoryLine+5)
	var text bytes.Buffer
	text.WriteString("corrupt, but too old to count\n" + long + "\n")
	for n := range historySize {
		switch n {
		case 5:
			text.WriteString(long + "\n")
		case 6:
			text.WriteString("\n")
		default:
			text.Write(encodeLines(entries(stored(n))))
		}
	}
	got, lines, corrupt, err := parseHistory(bytes.NewReader(text.Bytes()))
	if err != nil || lines != historySize+2 || corrupt != 1 || len(got) != historySize-2 {
		t.Fatalf("%d events, %d lines, %d corrupt (%v)", len(got), lines, corrupt, err)
	}
	events := decode(got)
	if events[0].Message != "event 0" || events[len(got)-1].Message != fmt.Sprint("event ", historySize-1) {
		t.Errorf("from %q to %q", events[0].Message, events[len(got)-1].Message)
	}
}

// What is allocated to read a full history is a few times what is kept.
func TestParseHistoryAllocates(t *testing.T) {
	var text []byte
	for n := range maxHistoryLines {
		text = append(text, encodeLines(entries(stored(n)))...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, _, err := parseHistory(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(maxHistoryLine+6*len(text)); got > most {
		t.Errorf("%d bytes are allocated for %d, more than %d", got, len(text), most)
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(encodeLines(entries(stored(1), reconcile.Event{At: storedAt, Kind: reconcile.KindTablePressure, Duration: 7,
		Pressure: reconcile.Pressure{Level: "high", Entries: 5, Limit: 6}})))
	f.Add([]byte("{\"at\":\"2026-03-01T12:00:00Z\",\"event\":\"x\",\"duration\":\"5 parsecs\"}\n\n[]\nnull"))
	f.Fuzz(func(t *testing.T, text []byte) {
		events, count, foreign, err := parseHistory(bytes.NewReader(text))
		if err != nil || len(events) > historySize || len(events)+foreign > count {
			t.Fatalf("%d events and %d foreign lines of %d (%v)", len(events), foreign, count, err)
		}
		again, _, bad, err := parseHistory(bytes.NewReader(encodeLines(events)))
		if diff := cmp.Diff(decode(events), decode(again)); diff != "" || bad != 0 || err != nil {
			t.Errorf("%d are not read back (%v) (-want +got):\n%s", bad, err, diff)
		}
	})
}

// allOf returns all events of a history.
func allOf(h *history) []reconcile.Event {
	all, _, _ := h.from(oldest)
	return decode(all)
}
