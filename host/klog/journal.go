package klog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ctkeeper/ctkeeper/host/command"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	journalSource = "journal"
	// maxEntries limits the entries that journalctl prints.
	maxEntries = 40000

	sysctlUnit = "systemd-sysctl.service"
	// fromKernel and fromSysctl are matches of journalctl(1), by fields that only the
	// journal itself can write.
	fromKernel = "_TRANSPORT=kernel"
	fromSysctl = "_SYSTEMD_UNIT=" + sysctlUnit
)

// journalLimits limit journalctl.
var journalLimits = command.Limits{Timeout: 5 * time.Second, Output: 64 << 20}

// errNothing is the error if there is no journal, or none that this user may read. journalctl does not treat
// this as an error, but every kernel logs something at boot.
var errNothing = errors.New("no message of the kernel, or none that this user may read")

// readJournal returns this boot's messages from the given sources, by journalctl(1).
func readJournal(ctx context.Context, match func(string) bool, sources ...string) ([]Message, error) {
	args := []string{"--boot", "--output=json", "--lines=" + strconv.Itoa(maxEntries), "--no-pager", "--quiet"}
	for i, source := range sources {
		if i > 0 {
			args = append(args, "+") // or
		}
		args = append(args, source)
	}
	lines := &journalLines{kept: ring{match: match}}
	err := command.Stream(ctx, journalLimits, lines, "journalctl", args...)
	if err == nil && lines.entries == 0 {
		err = errNothing
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal: %w", err)
	}
	return lines.kept.last(), nil
}

// journalLines splits journalctl's output into lines and keeps the entries that match.
type journalLines struct {
	kept    ring
	line    []byte // the incomplete last line
	entries int
}

func (w *journalLines) Write(p []byte) (int, error) {
	for rest := p; ; {
		text, after, found := bytes.Cut(rest, []byte{'\n'})
		w.line = append(w.line, text...)
		if !found {
			return len(p), nil
		}
		if m, ok := parseEntry(w.line); ok {
			w.entries++
			w.kept.add(m)
		}
		w.line, rest = w.line[:0], after
	}
}

// parseEntry parses one entry of journalctl's JSON (systemd.journal-fields(7)). It returns false for an entry
// that is neither from the kernel itself nor from systemd-sysctl.
func parseEntry(line []byte) (Message, bool) {
	var entry struct {
		Message   json.RawMessage `json:"MESSAGE"`
		Facility  string          `json:"SYSLOG_FACILITY"`
		Realtime  string          `json:"__REALTIME_TIMESTAMP"`
		Monotonic string          `json:"__MONOTONIC_TIMESTAMP"`
		Source    string          `json:"_SOURCE_MONOTONIC_TIMESTAMP"`
		Unit      string          `json:"_SYSTEMD_UNIT"`
	}
	if err := json.Unmarshal(line, &entry); err != nil {
		return Message{}, false
	}
	if entry.Unit != sysctlUnit && entry.Facility != "" && entry.Facility != "0" {
		return Message{}, false
	}
	text, ok := entryText(entry.Message)
	if !ok {
		return Message{}, false
	}
	m := Message{Source: tree.Place{File: journalSource}, Text: text}
	if at, err := strconv.ParseInt(entry.Realtime, 10, 64); err == nil {
		// The journal receives a message after it was logged, at boot by seconds.
		received, err1 := strconv.ParseInt(entry.Monotonic, 10, 64)
		logged, err2 := strconv.ParseInt(entry.Source, 10, 64)
		if err1 == nil && err2 == nil && 0 <= logged && logged <= received {
			at -= received - logged
		}
		m.At = time.UnixMicro(at)
	}
	return m, true
}

// entryText returns the text of a field: a string, or an array of bytes if it is not UTF-8.
func entryText(field json.RawMessage) (string, bool) {
	var text *string
	if err := json.Unmarshal(field, &text); err == nil && text != nil {
		return *text, true
	}
	var codes []int // []byte would be read as base64
	if err := json.Unmarshal(field, &codes); err != nil || codes == nil {
		return "", false
	}
	raw := make([]byte, len(codes))
	for i, code := range codes {
		if code < 0 || code > 0xff {
			return "", false
		}
		raw[i] = byte(code)
	}
	return string(raw), true
}
