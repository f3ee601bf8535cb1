package guard

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unsafe"
)

// The sizes of a record and of its text with its NUL, in bytes.
const (
	recordSize = int(unsafe.Sizeof(bpfRecord{}))
	textSize   = len(bpfRecord{}.Text)
)

// FuzzDecode: the command and text of a record are printable, whatever the process put there, and not longer than
// their fields.
func FuzzDecode(f *testing.F) {
	hostile := make([]byte, recordSize)
	hostile[0] = byte(bpfKindWROTE_SYSCTL)
	copy(hostile[unsafe.Offsetof(bpfRecord{}.By)+unsafe.Offsetof(bpfActor{}.Comm):], "\x1b[31m\n\xff\u202eab")
	copy(hostile[unsafe.Offsetof(bpfRecord{}.Text):], strings.Repeat("\u2028", textSize))
	f.Add(hostile)
	f.Add(append([]byte{byte(bpfKindLOADED_MODULE)}, bytes.Repeat([]byte{0xff}, recordSize)...))
	f.Add(hostile[:recordSize-1])
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, ok := decode(raw)
		if ok != (len(raw) >= recordSize) {
			t.Fatalf("%d bytes: %v", len(raw), ok)
		}
		comm := len(bpfActor{}.Comm)
		for text, most := range map[string]int{r.comm: comm, r.request.comm: comm, r.text: textSize} {
			if n := len([]rune(text)); n > most {
				t.Errorf("%q has %d letters, more than %d", text, n, most)
			}
			if strings.ContainsFunc(text, func(r rune) bool {
				return r != ' ' && (unicode.IsSpace(r) || !unicode.IsPrint(r))
			}) {
				t.Errorf("%q cannot be printed", text)
			}
		}
	})
}
