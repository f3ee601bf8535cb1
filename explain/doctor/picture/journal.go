package picture

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/ctkeeper/ctkeeper/host/command"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// readJournal reads the daemon's record of this boot from the journal, for users who may read that and not
// the history. Without journalctl(1) it returns nothing.
func readJournal(ctx context.Context) record {
	limits := command.Limits{Timeout: 5 * time.Second, Output: 16 << 20}
	out, err := command.Output(ctx, limits, "journalctl", "--boot", "--output=json", "--lines=2000", "--no-pager",
		"--quiet", "_SYSTEMD_UNIT="+UnitName)
	var r record
	if err != nil {
		return r
	}
	for line := range bytes.Lines(out) {
		if e, ok := parseJournal(line); ok {
			r.add(tree.Place{File: "journal"}, e)
		}
	}
	return r
}

// parseJournal returns the event of an entry of the daemon (package systemd has the names of its fields). It
// returns false for an entry without one.
func parseJournal(line []byte) (reconcile.Event, bool) {
	var entry struct {
		Realtime string          `json:"__REALTIME_TIMESTAMP"`
		Kind     reconcile.Kind  `json:"CTKEEPER_EVENT"`
		Setting  string          `json:"CTKEEPER_SETTING"`
		Found    string          `json:"CTKEEPER_FOUND"`
		Cause    reconcile.Cause `json:"CTKEEPER_CAUSE"`
		PID      string          `json:"CTKEEPER_BY_PID"`
		Comm     string          `json:"CTKEEPER_BY_COMM"`
		Unit     string          `json:"CTKEEPER_BY_UNIT"`
	}
	if json.Unmarshal(line, &entry) != nil || entry.Kind == "" {
		return reconcile.Event{}, false
	}
	micros, err := strconv.ParseInt(entry.Realtime, 10, 64)
	if err != nil {
		return reconcile.Event{}, false
	}
	e := reconcile.Event{
		At: time.UnixMicro(micros).UTC(), Kind: entry.Kind, Setting: entry.Setting, Cause: entry.Cause,
	}
	if s := sysfs.Lookup(entry.Setting); s != nil && entry.Found != "" {
		e.Found = s.Parse(entry.Found)
	}
	if entry.Comm != "" || entry.Unit != "" {
		pid, _ := strconv.Atoi(entry.PID) // 0 where it is not known
		e.By = &sysfs.Writer{PID: pid, Comm: entry.Comm, Unit: entry.Unit}
	}
	return e, true
}
