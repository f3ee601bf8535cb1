package klog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxTail is how many bytes of a log file are read, from its end.
const maxTail = 4 << 20

// logFiles returns the files with kernel messages on a host, a disk or in a collected tree: those of syslog
// daemons, of dmesg(1) at boot, and of sos.
func logFiles() []string {
	return []string{
		"/var/log/kern.log", "/var/log/messages", "/var/log/syslog",
		"/var/log/dmesg", "/dmesg", "/sos_commands/kernel/dmesg",
	}
}

// readFiles reads the log files of a tree. Two paths that lead to the same file are read once.
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

// noFile returns why no log file could be read.
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

// parseFile returns the messages of the last boot in a log file. A boot begins with the kernel's banner.
// Messages have line numbers only if text is the whole file.
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
	// stamp matches what printk.time and dmesg(1) put before a message: seconds since boot, dmesg's
	// facility and level, or its date.
	stamp = pattern.New(`^(?:<\d+>|kern *:[a-z]+ *: )?` +
		`\[(?: *\d+\.\d+|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4})\] ?`)
	// syslogPrefix matches the beginning of a line of syslog: time, host, BusyBox's facility and
	// priority, and the kernel or systemd-sysctl as the program. The time is that of RFC 3164, which has
	// no year, or of RFC 3339.
	syslogPrefix = pattern.New(`^(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|(\d{4}-\d\d-\d\dT\S+)) ` +
		`\S+ (?:[a-z0-9]+\.[a-z]+ )?(?:kernel|systemd-sysctl(?:\[\d+\])?): `)
)

// parseLine parses one line of a log file. It returns false for a line that is neither from the kernel nor
// from systemd-sysctl.
func parseLine(line string) (Message, bool) {
	if found := syslogPrefix.FindStringSubmatch(line); found != nil {
		text := line[len(found[0]):]
		at, err := time.Parse(time.RFC3339Nano, found[1])
		if err != nil {
			at = time.Time{} // unknown: RFC 3164 has no year
		}
		return Message{At: at, Text: text[len(stamp.FindString(text)):]}, true
	}
	found := stamp.FindString(line)
	return Message{Text: line[len(found):]}, found != ""
}
