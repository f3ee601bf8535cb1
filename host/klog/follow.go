package klog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Follow calls each for every new message of the kernel itself until ctx ends. It waits in the poller and
// blocks no thread. If the kernel overwrites records before they are read, the next message has their number
// in Lost.
//
// The error is ctx's, or why /dev/kmsg cannot be followed: fs.ErrPermission without CAP_SYSLOG if
// kernel.dmesg_restrict is 1, fs.ErrNotExist, or errors.ErrUnsupported for a tree, whose log has no new
// messages.
func Follow(ctx context.Context, t tree.Tree, each func(Message)) error {
	if !t.Live() {
		return fmt.Errorf("cannot follow the kernel's log of a tree: %w", errors.ErrUnsupported)
	}
	file, err := openEnd(kmsgDevice)
	if err == nil {
		err = follow(ctx, file, each)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot follow the kernel's log: %w", err)
	}
	return ctx.Err()
}

// openEnd opens the log behind its last record.
func openEnd(device string) (*os.File, error) {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: device, Err: err}
	}
	if err = checkKmsg(fd); err == nil {
		_, err = unix.Seek(fd, 0, io.SeekEnd)
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was read
		return nil, &os.PathError{Op: "read", Path: device, Err: err}
	}
	return os.NewFile(uintptr(fd), device), nil
}

// follow reads a pollable file, one record a read, and closes it.
func follow(ctx context.Context, file *os.File, each func(Message)) error {
	defer func() { _ = file.Close() }() // it was only read
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var last uint64 // the sequence number of the last record; numbers start at 0
	var lost int64
	started := false
	buffer := make([]byte, maxRecord)
	for {
		n, err := file.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.EPIPE):
			continue // records were overwritten meanwhile; the next read returns the oldest one left
		case err != nil:
			return err
		}
		text := string(buffer[:n])
		if sequence, ok := sequenceOf(text); ok {
			if started && sequence > last+1 {
				lost += int64(sequence - last - 1)
			}
			last, started = sequence, true
		}
		if record, ok := parseRecord(text); ok {
			m := Message{Source: tree.Place{File: file.Name()}, Text: record.text, Lost: lost}
			if boot := bootTime(); !boot.IsZero() {
				m.At = boot.Add(record.since)
			}
			lost = 0
			each(m)
		}
	}
}

// sequenceOf returns a record's sequence number. The records of programs and of the kernel share one
// sequence.
func sequenceOf(record string) (uint64, bool) {
	_, rest, _ := strings.Cut(record, ",")
	number, _, found := strings.Cut(rest, ",")
	n, err := strconv.ParseUint(number, 10, 63)
	if !found || err != nil {
		return 0, false
	}
	return n, true
}
