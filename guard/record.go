package guard

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
)

// record is one decoded record.
type record struct {
	kind    bpfKind
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
	netns  uint32 // the network namespace in which a write to a sysctl takes effect; 0 if unknown
	comm   string
}

// decode decodes a record. It returns false for data that is too short.
func decode(raw []byte) (record, bool) {
	var from bpfRecord
	if _, err := binary.Decode(raw, binary.NativeEndian, &from); err != nil {
		return record{}, false
	}
	r := record{kind: from.Kind, setting: from.Setting, actor: newActor(from.By), result: from.Result}
	isSysctl := r.kind == bpfKindWROTE_SYSCTL
	r.refused, r.absorbed = isSysctl && r.result < 0, isSysctl && r.result > 0
	if r.kind != bpfKindLOADED_MODULE {
		r.text = printable(from.Text[:])
		return r, true
	}
	var request bpfActor
	_, err := binary.Decode(from.Text[:], binary.NativeEndian, &request)
	r.request = newActor(request)
	return r, err == nil
}

func newActor(a bpfActor) actor {
	return actor{
		time: a.Time, cgroup: a.Cgroup, pid: a.Pid, netns: a.Netns, comm: strings.TrimSpace(printable(a.Comm[:])),
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
