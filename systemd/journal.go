package systemd

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// identifier is the SYSLOG_IDENTIFIER of the entries (journalctl -t).
const identifier = "ctkeeper"

// fieldPrefix distinguishes ctkeeper's fields from the journal's own.
const fieldPrefix = "CTKEEPER_"

// journalSocket is the socket on which journald receives native entries.
const journalSocket = "/run/systemd/journal/socket"

// A sender sends one entry to the journal.
type sender func(message string, p journal.Priority, vars map[string]string) error

// journalCore is a zapcore.Core whose output is the journal. It is immutable:
// With returns a copy, so a core is safe for concurrent use.
type journalCore struct {
	zapcore.LevelEnabler
	send   sender
	fields fieldSet
}

// NewJournalCore returns a core that writes each entry to the journal in its
// native protocol: the message and its fields as MESSAGE, each field also as
// CTKEEPER_ and its key in upper case, MESSAGE_ID by KeyEvent, PRIORITY by the
// level. A time.Duration is in whole microseconds, in a field whose name ends in
// _USEC. It returns an error if there is no journal. See
// systemd.journal-fields(7) and https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
func NewJournalCore(enab zapcore.LevelEnabler) (zapcore.Core, error) {
	if !journal.Enabled() {
		return nil, errors.New("cannot log to the journal: its socket does not answer")
	}
	return newJournalCore(enab, send), nil
}

func newJournalCore(enab zapcore.LevelEnabler, send sender) *journalCore {
	return &journalCore{LevelEnabler: enab, send: send}
}

// patience is how long an entry waits for room in the journal's queue.
const patience = 100 * time.Millisecond

// send calls journal.Send if the journal's queue has room. With a full queue
// journal.Send would not return, and would spin: its socket is not connected, so
// the poller calls it writable.
func send(message string, p journal.Priority, vars map[string]string) error {
	if err := hasRoom(journalSocket, patience); err != nil {
		return err
	}
	return journal.Send(message, p, vars)
}

// hasRoom waits for room in a datagram socket's queue. Only a connected socket
// reports it (unix_dgram_poll); a new one each time finds a journal that was
// restarted.
func hasRoom(path string, patience time.Duration) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot poll the journal's socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written to it
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("cannot poll the journal's socket: %w", err)
	}
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(polled, int(patience.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return nil // send it anyway rather than lose it
	}
	if err == nil && n == 0 {
		err = errors.New("its queue is full")
	}
	return err
}

// OnJournal reports whether standard error is connected to the journal, by
// JOURNAL_STREAM (systemd.exec(5)). If JOURNAL_STREAM is invalid it returns false,
// and the log goes to standard error.
func OnJournal() bool {
	on, err := journal.StderrIsJournalStream()
	return on && err == nil
}

// With returns a core that adds the fields to each entry. It implements
// zapcore.Core.
func (c *journalCore) With(fields []zapcore.Field) zapcore.Core {
	return &journalCore{LevelEnabler: c.LevelEnabler, send: c.send, fields: c.fields.with(fields)}
}

// Check adds the core to the entry when its level is enabled. It implements
// zapcore.Core.
func (c *journalCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write sends one entry. Its error includes the message: zap prints the error if
// the journal cannot be reached, and nothing else of the entry is left. It
// implements zapcore.Core.
func (c *journalCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	all := c.fields.with(fields)
	message := all.message(entry.Message)
	if err := c.send(message, priority(entry.Level), variables(entry, all)); err != nil {
		return fmt.Errorf("cannot write %q to the journal: %w", message, err)
	}
	return nil
}

// Sync does nothing: Write has sent the entry when it returns. It
// implements zapcore.Core.
func (c *journalCore) Sync() error { return nil }

// variables returns the journal fields of an entry, except MESSAGE and PRIORITY.
func variables(entry zapcore.Entry, fields fieldSet) map[string]string {
	vars := make(map[string]string, len(fields.vars)+6)
	maps.Copy(vars, fields.vars)
	vars["SYSLOG_IDENTIFIER"] = identifier
	if id := MessageID(fields.vars[variableName(KeyEvent)]); id != "" {
		vars["MESSAGE_ID"] = id
	}
	if entry.LoggerName != "" {
		vars[fieldPrefix+"LOGGER"] = entry.LoggerName
	}
	if entry.Stack != "" {
		vars[fieldPrefix+"STACK"] = entry.Stack
	}
	if entry.Caller.Defined {
		vars["CODE_FILE"] = entry.Caller.File
		vars["CODE_LINE"] = strconv.Itoa(entry.Caller.Line)
		if entry.Caller.Function != "" {
			vars["CODE_FUNC"] = entry.Caller.Function
		}
	}
	return vars
}

// priority maps a zap level to one of syslog(3)'s.
func priority(level zapcore.Level) journal.Priority {
	switch {
	case level <= zapcore.DebugLevel:
		return journal.PriDebug
	case level == zapcore.InfoLevel:
		return journal.PriInfo
	case level == zapcore.WarnLevel:
		return journal.PriWarning
	case level == zapcore.ErrorLevel:
		return journal.PriErr
	}
	return journal.PriCrit
}

// oneLine joins the lines of a text, so that journalctl shows an entry on one.
func oneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}
