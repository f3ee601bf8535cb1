package guard

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
)

// Whatever a process is called and writes, what is told of it can be printed, and is no longer
// than the record had room for.
func FuzzDecode(f *testing.F) {
	hostile := make([]byte, recordSize)
	hostile[atKind] = wroteSysctl
	copy(hostile[atComm:], "\x1b[31m\n\xff\u202eab")
	copy(hostile[atText:], strings.Repeat("\u2028", textSize))
	f.Add(hostile)
	f.Add(append([]byte{loadedModule}, bytes.Repeat([]byte{0xff}, recordSize)...))
	f.Add(hostile[:recordSize-1])
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, ok := decode(raw)
		if ok != (len(raw) >= recordSize) {
			t.Fatalf("%d bytes: %v", len(raw), ok)
		}
		for text, most := range map[string]int{r.comm: commSize, r.request.comm: commSize, r.text: textSize} {
			if n := len([]rune(text)); n > most {
				t.Errorf("%q has %d letters, more than %d", text, n, most)
			}
			if i := strings.IndexFunc(text, func(r rune) bool { return r != ' ' && (unicode.IsSpace(r) || !unicode.IsPrint(r)) }); i >= 0 {
				t.Errorf("%q cannot be printed", text)
			}
		}
	})
}
