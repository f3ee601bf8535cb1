package klog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxTail is how much of a log file is read, from its end.
const maxTail = 4 << 20

// logFiles are the files of a host, a disk or a collected tree that have kernel
// messages: of syslog daemons, of dmesg(1) at boot, and of sos.
func logFiles() []string {
	return []string{
		"/var/log/kern.log", "/var/log/messages", "/var/log/syslog",
		"/var/log/dmesg", "/dmesg", "/sos_commands/kernel/dmesg",
	}
}

// readFiles reads the log files of a tree. One that was copied twice is read once.
func readFiles(t tree.Tree, match func(string) bool) Log {
	var log Log
	kept := ring{match: match}
	seen := map[string]bool{}
	for _, path := range logFiles() {
		end, _, err := t.Resolve(path)
		if err == nil && seen[end] {
			continue
		}
		seen[end] = true
		text, err := t.Tail(path, maxTail)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			log.Troubles = append(log.Troubles, tree.Trouble{Place: tree.Place{File: path}, Err: err})
			continue
		}
		info, err := t.Stat(path)
		whole := err == nil && info.Size() <= maxTail
		log.Sources = append(log.Sources, path)
		for _, m := range parseFile(path, text, whole) {
			kept.add(m)
		}
	}
	log.Messages = kept.last()
	if len(log.Sources) == 0 {
		log.Err = fmt.Errorf("cannot read the kernel's log: %w", noFile(log.Troubles))
	}
	return log
}

// noFile is why no log file could be read.
func noFile(troubles []tree.Trouble) error {
	if len(troubles) == 0 {
		return fmt.Errorf("none of %s: %w", strings.Join(logFiles(), ", "), fs.ErrNotExist)
	}
	errs := make([]error, len(troubles))
	for i, trouble := range troubles {
		errs[i] = trouble.Err
	}
	return errors.Join(errs...)
}

// parseFile reads the kernel's messages of the last boot that a log file tells of;
// a boot begins with the kernel's banner. Lines are numbered where the file is
// whole.
func parseFile(path string, text []byte, whole bool) []Message {
	var messages []Message
	number := 0
	for line := range bytes.Lines(text) {
		number++
		m, ok := parseLine(strings.TrimRight(string(line), "\r\n"))
		if !ok {
			continue
		}
		if strings.HasPrefix(m.Text, "Linux version ") {
			messages = nil
		}
		m.Source = tree.Place{File: path}
		if whole {
			m.Source.Line = number
		}
		messages = append(messages, m)
	}
	return messages
}

var (
	// stamp is what printk.time and dmesg(1) put before a message: seconds since
	// boot, dmesg's facility and level, or its date.
	stamp = regexp.MustCompile(`^(?:<\d+>|kern *:[a-z]+ *: )?\[(?: *\d+\.\d+|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4})\] ?`)
	// syslogged is a line of syslog: time, host, BusyBox's facility and priority, and
	// the kernel or systemd-sysctl as its program. The time is that of RFC 3164 (no year) or
	// RFC 3339.
	syslogged = regexp.MustCompile(`^(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|(\d{4}-\d\d-\d\dT\S+)) \S+ (?:[a-z0-9]+\.[a-z]+ )?(?:kernel|systemd-sysctl(?:\[\d+\])?): `)
)

// parseLine reads one line of a log file. It is not ok for a line that is neither
// the kernel's nor systemd-sysctl's.
func parseLine(line string) (Message, bool) {
	if found := syslogged.FindStringSubmatch(line); found != nil {
		text := line[len(found[0]):]
		at, err := time.Parse(time.RFC3339Nano, found[1])
		if err != nil {
			at = time.Time{} // without a year it cannot be told
		}
		return Message{At: at, Text: text[len(stamp.FindString(text)):]}, true
	}
	found := stamp.FindString(line)
	return Message{Text: line[len(found):]}, found != ""
}
