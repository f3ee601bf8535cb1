package guard

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// What a record tells.
const (
	wroteSysctl = iota + 1
	wroteSysfs
	loadedModule
	unloadedModule
)

// The layout of a record, as the programs write it: offsets in bytes, in the machine's own
// order. All that is not told is zero.
const (
	atKind    = 0   // uint32
	atSetting = 4   // uint32: the index of the setting
	atTime    = 8   // uint64: bpf_ktime_get_ns, which is CLOCK_MONOTONIC
	atCgroup  = 16  // uint64: bpf_get_current_cgroup_id
	atPID     = 24  // uint32: the thread group's id in the initial pid namespace
	atComm    = 32  // [16]byte: TASK_COMM_LEN
	atText    = 48  // [64]byte: the value; of a load on demand who demanded it
	atResult  = 112 // int64: what a write gave, an errno where negative: of a sysctl, that it was refused

	commSize   = 16
	textSize   = 64
	recordSize = 120
)

// actorSize is how much of a record tells who it was, from atTime on: a demand for a
// module is kept as that, and put where the text of a load's record would be.
const actorSize = atText - atTime

// record is one decoded record.
type record struct {
	kind    uint32
	setting uint32
	actor
	refused bool
	text    string
	result  int64
	request actor // zero where nobody demanded the module
}

// actor is who did something, and when.
type actor struct {
	time   uint64 // nanoseconds of CLOCK_MONOTONIC
	cgroup uint64
	pid    uint32
	comm   string
}

// decode reads a record; false is one of another length.
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
	r.refused = r.kind == wroteSysctl && r.result < 0
	text := raw[atText : atText+textSize]
	if r.kind == loadedModule {
		r.request = decodeActor(text[:actorSize])
	} else {
		r.text = printable(text)
	}
	return r, true
}

func decodeActor(raw []byte) actor {
	order := binary.NativeEndian
	return actor{
		time:   order.Uint64(raw),
		cgroup: order.Uint64(raw[atCgroup-atTime:]),
		pid:    order.Uint32(raw[atPID-atTime:]),
		comm:   strings.TrimSpace(printable(raw[atComm-atTime:])),
	}
}

// printable is the text up to its NUL, with spaces for all white space. Anybody may give a
// process any name: what is not printable becomes a question mark.
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

// writer is the actor as people know it.
func (a actor) writer(where sysfs.Writer) sysfs.Writer {
	where.PID, where.Comm = int(a.pid), a.comm
	return where
}
