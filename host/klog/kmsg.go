package klog

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	kmsgDevice = "/dev/kmsg"
	// maxRecord is longer than any record: the kernel cuts them at CONSOLE_EXT_LOG_MAX, 8 KiB. It returns
	// EINVAL if the buffer is shorter than the record.
	maxRecord = 16 << 10
	// maxRecords ends a read while a program fills the log as fast as it is read. A log buffer of 64 MiB has
	// fewer records.
	maxRecords = 1 << 20
	// facilityShift is the number of level bits below the facility in a record's priority. The kernel's own
	// facility is 0 (syslog(2)).
	facilityShift = 3
)

// readDevice returns the matching records that are still in the kernel's log buffer (the kernel's
// Documentation/ABI/testing/dev-kmsg).
func readDevice(ctx context.Context, device string, match func(string) bool) ([]Message, error) {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: device, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // it was only read
	if err := checkKmsg(fd); err != nil {
		return nil, &fs.PathError{Op: "read", Path: device, Err: err}
	}
	boot := bootTime()
	kept := ring{match: match}
	buffer := make([]byte, maxRecord)
	for range maxRecords {
		if err := ctx.Err(); err != nil {
			return nil, &fs.PathError{Op: "read", Path: device, Err: err}
		}
		n, err := unix.Read(fd, buffer)
		switch {
		case errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR):
			continue // EPIPE: records were overwritten meanwhile; the next read returns the oldest one left
		case errors.Is(err, unix.EAGAIN) || err == nil && n == 0:
			return kept.last(), nil
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: device, Err: err}
		}
		if record, ok := parseRecord(string(buffer[:n])); ok {
			m := Message{Source: tree.Place{File: device}, Text: record.text}
			if !boot.IsZero() {
				m.At = boot.Add(record.since)
			}
			kept.add(m)
		}
	}
	return kept.last(), nil
}

// errNoLog is the error for another device at the log's path. Containers have a link to /dev/null there, or
// to the console: reading that would take what is typed.
var errNoLog = errors.New("not the kernel's log")

// checkKmsg returns an error if a file is neither regular nor the device number of /dev/kmsg (the kernel's
// Documentation/admin-guide/devices.txt).
func checkKmsg(fd int) error {
	var stat unix.Stat_t
	switch err := unix.Fstat(fd, &stat); {
	case err != nil:
		return err
	case stat.Mode&unix.S_IFMT == unix.S_IFREG:
	case stat.Mode&unix.S_IFMT != unix.S_IFCHR || stat.Rdev != unix.Mkdev(1, 11):
		return errNoLog
	}
	return nil
}

// bootTime returns the time at which the clock of the kernel's log was 0. Like CLOCK_MONOTONIC, that clock
// stops while the host sleeps: messages from before the last sleep get a time that is too late by its length.
func bootTime() time.Time {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(now.Nano()))
}

// record is one record of /dev/kmsg.
type record struct {
	since time.Duration
	text  string
}

// parseRecord parses "level,sequence,microseconds,flags[,…];text", followed by lines of " KEY=value". It
// returns false for other text, and for a record that a program wrote.
func parseRecord(s string) (record, bool) {
	prefix, rest, found := strings.Cut(s, ";")
	fields := strings.Split(prefix, ",")
	if !found || len(fields) < 3 {
		return record{}, false
	}
	priority, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil || priority>>facilityShift != 0 {
		return record{}, false
	}
	since, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil || since > uint64(1<<63-1)/uint64(time.Microsecond) {
		return record{}, false
	}
	text, _, _ := strings.Cut(rest, "\n")
	return record{time.Duration(since) * time.Microsecond, unescape(text)}, true
}

// unescape replaces the kernel's \xNN with the byte.
func unescape(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
