package klog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	journalSource = "journal"
	// journalTimeout is what journalctl has, journalLimit what it may print, in bytes,
	// for the last maxEntries entries.
	journalTimeout = 5 * time.Second
	journalLimit   = 64 << 20
	maxEntries     = 40000
	// maxSaid is how much of an error message is repeated.
	maxSaid = 1 << 10

	sysctlUnit = "systemd-sysctl.service"
	// fromKernel and fromSysctl are matches of journalctl(1), by fields that only the
	// journal itself can write.
	fromKernel = "_TRANSPORT=kernel"
	fromSysctl = "_SYSTEMD_UNIT=" + sysctlUnit
)

var (
	errTooLong = errors.New("more than 64 MiB of messages")
	// errNothing is what journalctl calls success where there is no journal, or none
	// that this user may read: every kernel says something at boot.
	errNothing = errors.New("it has no message of the kernel, or none for this user")
)

// readJournal asks journalctl(1) for the messages of this boot that one of the
// sources wrote.
func readJournal(ctx context.Context, match func(string) bool, sources ...string) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	said := &head{limit: maxSaid}
	args := []string{"--boot", "--output=json", "--lines=" + strconv.Itoa(maxEntries), "--no-pager", "--quiet"}
	for i, source := range sources {
		if i > 0 {
			args = append(args, "+") // or
		}
		args = append(args, source)
	}
	journalctl := exec.CommandContext(ctx, "journalctl", args...)
	journalctl.Env = append(os.Environ(), "LC_ALL=C")
	journalctl.Stderr = said
	kept := &ring{match: match}
	lines := &journalLines{kept: kept}
	journalctl.Stdout = lines
	journalctl.WaitDelay = time.Second
	err := journalctl.Run()
	switch {
	case err == nil && lines.entries == 0:
		err = errNothing
	case err == nil:
		return kept.last(), nil
	case lines.over:
		err = errTooLong
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	if text := strings.TrimSpace(said.buffer.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return nil, fmt.Errorf("cannot read the journal: %w", err)
}

// journalLines takes journalctl's output line by line.
type journalLines struct {
	kept    *ring
	rest    []byte
	size    int
	entries int
	over    bool
}

func (w *journalLines) Write(p []byte) (int, error) {
	if w.size += len(p); w.size > journalLimit {
		w.over = true
		return 0, errTooLong
	}
	for rest := p; ; {
		line, behind, found := bytes.Cut(rest, []byte{'\n'})
		w.rest = append(w.rest, line...)
		if !found {
			return len(p), nil
		}
		if m, ok := parseEntry(w.rest); ok {
			w.entries++
			w.kept.add(m)
		}
		w.rest, rest = w.rest[:0], behind
	}
}

// head keeps the beginning of what is written to it.
type head struct {
	// It is not embedded: os/exec would find its ReadFrom and pass Write by.
	buffer bytes.Buffer
	limit  int
}

func (h *head) Write(p []byte) (int, error) {
	_, _ = h.buffer.Write(p[:min(len(p), max(0, h.limit-h.buffer.Len()))]) // a Buffer takes all
	return len(p), nil
}

// parseEntry reads one entry of journalctl's JSON (systemd.journal-fields(7)). It
// is not ok for what is no entry of the kernel's own, nor of systemd-sysctl.
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
		// The journal was told some time after it was said, at boot by seconds.
		received, err1 := strconv.ParseInt(entry.Monotonic, 10, 64)
		said, err2 := strconv.ParseInt(entry.Source, 10, 64)
		if err1 == nil && err2 == nil && 0 <= said && said <= received {
			at -= received - said
		}
		m.At = time.UnixMicro(at)
	}
	return m, true
}

// entryText is a field's text: a string, or an array of bytes where it is not
// UTF-8.
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
