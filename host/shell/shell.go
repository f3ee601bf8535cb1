package shell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns text as one word of a POSIX shell. It writes characters that a terminal would obey or a
// person would not see as escapes of printf(1). (mvdan.cc/sh's syntax.Quote refuses those for POSIX.)
// A NUL cannot be part of a word.
func Quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("@%+=:,./_-", r)
	}
	switch {
	case text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0:
		return text
	case utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) && r != '\n'
	}):
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for i, c := range []byte(text) {
		option := i == 0 && c == '-' // printf would take it for one
		if c < 0x80 && !option && (plain(rune(c)) && c != '%' || c == ' ') {
			b.WriteByte(c)
		} else {
			_, _ = fmt.Fprintf(&b, `\%03o`, c) // a builder takes everything
		}
	}
	return `"$(printf '` + b.String() + `')"`
}
