package picture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

const (
	// HistoryFile is where the daemon keeps its events (status.HistoryPath).
	HistoryFile = "/var/lib/ctkeeper/events.jsonl"
	// maxHistory is how much of it is read, in bytes, from its end: some 2,000 events.
	maxHistory = 1 << 20
)

// Write is a write by another program that the daemon recorded, with what it knows of the program.
type Write struct {
	// Place is the history of the daemon, or "journal".
	tree.Place
	At      time.Time
	Setting string
	// Found is the value that was written.
	Found string
	// Comm is the command name, and Unit the systemd unit, or the container and its pod. One of them is
	// known.
	Comm, Unit string
	// who names the writer in a sentence: "kube-proxy (pid 2211, kube-proxy.service)".
	who string
}

// Name returns the command name of the writer, or else its unit or container.
func (w Write) Name() string { return cmp.Or(w.Comm, w.Unit) }

// Evidence returns the write as evidence.
func (w Write) Evidence() finding.Evidence {
	return finding.At(w.Place, w.Setting+" was set to "+w.Found+" by "+w.who+" at "+w.At.Format(time.RFC3339))
}

// record is what the daemon recorded of this boot, or of all time where the time of the boot is not known.
type record struct {
	writes         []Write
	loads, unloads []finding.Evidence
}

// readRecord reads the daemon's history, or its entries in the journal. A host without ctkeeper has no
// record.
func readRecord(ctx context.Context, t tree.Tree) record {
	text, err := t.Tail(HistoryFile, maxHistory)
	if err != nil && t.Live() && hasUnit(t, UnitName) {
		return readJournal(ctx)
	}
	var r record
	booted := bootTime(t)
	for line := range bytes.Lines(text) {
		var e reconcile.Event
		if json.Unmarshal(line, &e) == nil && !e.At.Before(booted) { // a crash can leave the last line incomplete
			r.add(tree.Place{File: HistoryFile}, e)
		}
	}
	return r
}

// add adds what an event proves.
func (r *record) add(at tree.Place, e reconcile.Event) {
	switch {
	case e.Kind == reconcile.KindModuleLoad:
		r.loads = append(r.loads, finding.At(at, kmod.Conntrack+" was loaded at "+e.At.Format(time.RFC3339)))
	case e.Kind == reconcile.KindModuleUnload:
		r.unloads = append(r.unloads, finding.At(at, kmod.Conntrack+" was unloaded at "+e.At.Format(time.RFC3339)))
	case e.Kind == reconcile.KindDrift && e.Cause != reconcile.CauseModuleLoad && e.By != nil && e.Found.Known():
		w := Write{
			Place: at, At: e.At, Setting: e.Setting, Found: e.Found.String(), Comm: e.By.Comm, Unit: e.By.Cgroup(),
			who: e.By.String(),
		}
		if w.Comm != "" || w.Unit != "" {
			r.writes = append(r.writes, w)
		}
	}
}

// bootTime returns when the kernel was booted (btime of proc_stat(5)), or the zero time.
func bootTime(t tree.Tree) time.Time {
	text, _ := t.Read("/proc/stat", maxText)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return time.Time{}
			}
			return time.Unix(seconds, 0)
		}
	}
	return time.Time{}
}

// Writers returns the recorded writes of a setting in this boot, the newest first, one for each writer and
// value.
func (h *Host) Writers(setting string) []Write {
	var found []Write
	for _, w := range slices.Backward(h.record.writes) {
		isSame := func(other Write) bool {
			return other.Found == w.Found && other.Comm == w.Comm && other.Unit == w.Unit
		}
		if w.Setting == setting && !slices.ContainsFunc(found, isSame) {
			found = append(found, w)
		}
	}
	return found
}

// WriteEvidence returns the proof of who wrote a value of a setting, at most three writers.
func (h *Host) WriteEvidence(setting, value string) []finding.Evidence {
	const most = 3
	var found []finding.Evidence
	for _, w := range h.Writers(setting) {
		if w.Found == value && len(found) < most {
			found = append(found, w.Evidence())
		}
	}
	return found
}

// LoadedAgain returns the proof that nf_conntrack was unloaded and loaded again in this boot: the daemon's
// record of it, or the line that older kernels log at each load, twice in one log.
func (h *Host) LoadedAgain() (finding.Evidence, bool) {
	if n := len(h.record.unloads); n > 0 {
		return h.record.unloads[n-1], true
	}
	if n := len(h.record.loads); n > 1 {
		return h.record.loads[n-1], true
	}
	seen := map[string]bool{} // a file has one log, and other files have its lines again
	for _, m := range h.Log.Messages {
		if !strings.Contains(m.Text, "_conntrack version ") || !strings.Contains(m.Text, " buckets, ") {
			continue
		}
		if seen[m.Source.File] {
			return finding.At(m.Source, m.Text), true
		}
		seen[m.Source.File] = true
	}
	return finding.Evidence{}, false
}
