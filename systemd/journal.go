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

// identifier is what journalctl -t finds ctkeeper's entries by.
const identifier = "ctkeeper"

// fieldPrefix keeps ctkeeper's fields apart from the journal's own.
const fieldPrefix = "CTKEEPER_"

// journalSocket is where journald takes native entries.
const journalSocket = "/run/systemd/journal/socket"

// A sender hands one entry to the journal. It is journal.Send, except in tests.
type sender func(message string, p journal.Priority, vars map[string]string) error

// journalCore is a zapcore.Core whose output is the journal. It is immutable:
// With gives a copy, so that cores may be used by several goroutines.
type journalCore struct {
	zapcore.LevelEnabler
	send   sender
	fields fieldSet
}

// NewJournalCore gives a core that writes each entry to the journal in its
// native protocol: the message and what its fields say as MESSAGE, each field
// once more as CTKEEPER_ and its key in upper case, MESSAGE_ID from KeyEvent,
// PRIORITY from the level. A time.Duration becomes whole microseconds in a field
// whose name ends in _USEC. It fails where there is no journal to write to. See
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

// patience is how long the journal may take to have room for an entry.
const patience = 100 * time.Millisecond

// send is journal.Send where the journal takes entries. Where its queue is full
// and stays so, journal.Send would not return, and would burn a processor: its
// socket is not connected, so the poller calls it writable.
func send(message string, p journal.Priority, vars map[string]string) error {
	if err := hasRoom(journalSocket, patience); err != nil {
		return err
	}
	return journal.Send(message, p, vars)
}

// hasRoom waits for room in a datagram socket's queue. Only a connected socket
// can tell (unix_dgram_poll); a new one each time finds a journal that was
// restarted.
func hasRoom(path string, patience time.Duration) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot ask for room: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written to it
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("cannot ask for room: %w", err)
	}
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(polled, int(patience.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return nil // rather try than lose it
	}
	if err == nil && n == 0 {
		err = errors.New("its queue is full")
	}
	return err
}

// OnJournal tells whether standard error is connected to the journal, by
// JOURNAL_STREAM (systemd.exec(5)). A JOURNAL_STREAM that cannot be read counts
// as no: standard error then still takes the log.
func OnJournal() bool {
	on, err := journal.StderrIsJournalStream()
	return on && err == nil
}

// With gives a core that adds the fields to each entry. It implements
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

// Write sends one entry. Its error names the message, because zap prints that
// error where the journal cannot be reached, and it is then all that is left of
// the entry. It implements zapcore.Core.
func (c *journalCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	all := c.fields.with(fields)
	message := all.message(entry.Message)
	if err := c.send(message, priority(entry.Level), variables(entry, all)); err != nil {
		return fmt.Errorf("cannot write %q to the journal: %w", message, err)
	}
	return nil
}

// Sync does nothing: an entry is with the journal once Write returns. It
// implements zapcore.Core.
func (c *journalCore) Sync() error { return nil }

// variables gives the journal fields of an entry, except MESSAGE and PRIORITY.
func variables(entry zapcore.Entry, fields fieldSet) map[string]string {
	vars := make(map[string]string, len(fields.vars)+6)
	maps.Copy(vars, fields.vars)
	vars["SYSLOG_IDENTIFIER"] = identifier
	if id := Event(fields.vars[variableName(KeyEvent)]).MessageID(); id != "" {
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
