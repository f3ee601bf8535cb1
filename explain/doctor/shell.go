package doctor

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// quote makes one word of the shell (POSIX) of any text. What a terminal would obey,
// or a person not see, is written as an escape of printf(1).
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	switch {
	case text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0:
		return text
	case utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) < 0:
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

// literal makes a basic regular expression of sed(1), within slashes, that matches
// just the text.
func literal(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`\/.*[]^$`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// edit gives the command that runs a sed(1) script over a configuration file for
// good: in place where the file is the administrator's, and where it is a
// package's into the copy in /etc that hides it, which no update overwrites.
func edit(t tree.Tree, file, script string) string {
	if own, ok := hiding(file); ok {
		return "mkdir -p " + quote(path.Dir(own)) + " && sed " + quote(script) + " " + quote(file) + " > " + quote(own)
	}
	// sed -i puts a file in the place of a link: right where the link leads to a
	// package's file, wrong where it leads to another file of the administrator's.
	if end, _, err := t.Resolve(file); err == nil && strings.HasPrefix(end, "/etc/") {
		file = end
	}
	return "sed -i " + quote(script) + " " + quote(file)
}

// editJoined is edit where lines may go on behind a backslash: then they are joined
// first, as modprobe(8) does it.
func (h *Host) editJoined(file string, scripts []string) string {
	script := strings.Join(scripts, ";")
	if data, err := h.Tree.Read(file, 1<<20); err == nil && strings.Contains(string(data), "\\\n") {
		script = ":a\n/\\\\$/{\nN\ns/\\\\\\n//\nta\n}\n" + script
	}
	return edit(h.Tree, file, script)
}

// hiding is the file in /etc that hides a drop-in of another directory: of
// modprobe.d, sysctl.d, modules-load.d, udev/rules.d.
func hiding(file string) (string, bool) {
	for _, dir := range []string{"/usr/local/lib/", "/usr/lib/", "/lib/", "/run/"} {
		if rest, ok := strings.CutPrefix(file, dir); ok {
			return "/etc/" + rest, true
		}
	}
	return "", false
}
