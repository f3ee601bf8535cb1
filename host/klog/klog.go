package klog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxMessages is how many matching messages are kept, the last ones.
const maxMessages = 10000

// Message is one line of the kernel's log, or of systemd-sysctl(8).
type Message struct {
	// Source is /dev/kmsg, "journal", or the log file with its line. The line is 0 in a file of which only
	// the end was read.
	Source tree.Place
	// At is the time of the message, or zero if the log does not have it.
	At   time.Time
	Text string
	// Lost is the number of records before this one that were overwritten before Follow read them, of
	// programs or of the kernel.
	Lost int64
}

// Log is the result of Read.
type Log struct {
	Messages []Message
	// Sources are what was read: "/dev/kmsg", "journal", or file names.
	Sources []string
	// Troubles are the log files that exist and cannot be read.
	Troubles []tree.Trouble
	// Err is set if no source could be read.
	Err error
}

// Read returns this boot's matching messages, oldest first, at most the last 10000. On the running system
// they are from /dev/kmsg, else from journalctl(1). In a tree they are from the last 4 MiB of each of
// /var/log/kern.log, /var/log/messages, /var/log/syslog, /var/log/dmesg, /dmesg and the dmesg of an sos
// report, one file after the other. Read returns messages of the kernel itself, not what programs wrote to
// /dev/kmsg, and those of systemd-sysctl(8), which are in the journal and in log files.
func Read(ctx context.Context, t tree.Tree, match func(text string) bool) Log {
	if t.Live() {
		return readLive(ctx, kmsgDevice, match)
	}
	return readFiles(t, match)
}

// readLive reads the log of the running system.
func readLive(ctx context.Context, device string, match func(string) bool) Log {
	messages, err := readDevice(ctx, device, match)
	if err == nil {
		log := Log{Messages: messages, Sources: []string{device}}
		// An error of the journal is ignored: the kernel's messages matter most.
		if more, err := readJournal(ctx, match, fromSysctl); err == nil && len(more) > 0 {
			log.Messages, log.Sources = append(log.Messages, more...), append(log.Sources, journalSource)
			slices.SortStableFunc(log.Messages, func(a, b Message) int { return a.At.Compare(b.At) })
		}
		return log
	}
	messages, journalErr := readJournal(ctx, match, fromKernel, fromSysctl)
	if journalErr == nil {
		return Log{Messages: messages, Sources: []string{journalSource}}
	}
	return Log{Err: fmt.Errorf("cannot read the kernel's log: %w", errors.Join(err, journalErr))}
}

// ring keeps the last maxMessages messages that match.
type ring struct {
	match    func(string) bool
	messages []Message
}

func (r *ring) add(m Message) {
	if !r.match(m.Text) {
		return
	}
	if len(r.messages) >= 2*maxMessages {
		r.messages = append(r.messages[:0], r.messages[maxMessages:]...)
	}
	r.messages = append(r.messages, m)
}

func (r *ring) last() []Message {
	return r.messages[max(0, len(r.messages)-maxMessages):]
}
