package guard

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
)

// The kinds of records.
const (
	wroteSysctl = iota + 1
	wroteSysfs
	loadedModule
	unloadedModule
)

// The layout of a record, as the programs write it: offsets in bytes, numbers in native byte order. Unknown fields
// are zero.
const (
	atKind    = 0   // uint32
	atSetting = 4   // uint32: the index of the setting
	atTime    = 8   // uint64: bpf_ktime_get_ns, which is CLOCK_MONOTONIC
	atCgroup  = 16  // uint64: bpf_get_current_cgroup_id
	atPID     = 24  // uint32: the thread group's id in the initial pid namespace
	atComm    = 32  // [16]byte: TASK_COMM_LEN
	atText    = 48  // [64]byte: the value; for a load, the actor that last requested a module
	atResult  = 112 // int64: the result of a write; negative is an errno, for a sysctl the lock's refusal;
	// 1 for a sysctl is an absorbed write

	commSize   = 16
	textSize   = 64
	recordSize = 120
)

// actorSize is the size of the actor in a record, which begins at atTime. A module request is stored as an
// actor, and copied to the text of the load's record.
const actorSize = atText - atTime

// record is one decoded record.
type record struct {
	kind    uint32
	setting uint32
	actor
	refused, absorbed bool
	text              string
	result            int64
	request           actor // zero if no process requested a module
}

// actor is a process that did something, and when.
type actor struct {
	time   uint64 // nanoseconds of CLOCK_MONOTONIC
	cgroup uint64
	pid    uint32
	comm   string
}

// decode decodes a record. It returns false for data of another length.
func decode(raw []byte) (record, bool) {
	if len(raw) < recordSize {
		return record{}, false
	}
	order := binary.NativeEndian
	r := record{
		kind:    order.Uint32(raw[atKind:]),
		setting: order.Uint32(raw[atSetting:]),
		actor:   decodeActor(raw[atTime:atText]),
		result:  int64(order.Uint64(raw[atResult:])), //nolint:gosec // the kernel's own sign
	}
	r.refused, r.absorbed = r.kind == wroteSysctl && r.result < 0, r.kind == wroteSysctl && r.result > 0
	text := raw[atText : atText+textSize]
	if r.kind == loadedModule {
		r.request = decodeActor(text[:actorSize])
	} else {
		r.text = printable(text)
	}
	return r, true
}

// decodeActor decodes the actor part of a record.
func decodeActor(raw []byte) actor {
	order := binary.NativeEndian
	return actor{
		time:   order.Uint64(raw),
		cgroup: order.Uint64(raw[atCgroup-atTime:]),
		pid:    order.Uint32(raw[atPID-atTime:]),
		comm:   strings.TrimSpace(printable(raw[atComm-atTime:])),
	}
}

// printable returns the text up to its NUL. It replaces each white space with a space and each unprintable
// character with a question mark, since any process can choose its name freely.
func printable(raw []byte) string {
	raw, _, _ = bytes.Cut(raw, []byte{0})
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r), r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, string(raw))
}
