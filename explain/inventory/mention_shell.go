package inventory

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

var (
	// readingText matches what only reads within a line: $(cat FILE), `sysctl -n KEY`, [ -e FILE ].
	readingText = pattern.New(`\$\((?:\S*/)?(?:cat|head|grep|awk|sed -n|find|sysctl|<)[^()>]*\)|` +
		"`(?:\\S*/)?(?:cat|head|grep|awk|sed -n|find|sysctl)[^`>]*`" +
		`|\[\[?\s[^\]]*\]|\btest\s[^;&|]*|\s<\s*["']?/\S*`)
	// discarded matches what takes messages away.
	discarded = pattern.New(`(?:[12&]?>{1,2}\s*/dev/null|2>&1)`)
	// variablePattern matches the assignment of a text to a variable, or the loop of a variable over a
	// list.
	variablePattern = pattern.New(`^(?:(?:export|local|readonly|declare|typeset)(?:\s+-\w+)*\s+)?(\w+)=|` +
		`\bfor\s+(\w+)\s+in\b`)
)

// readers are programs that write no setting, whatever their arguments.
var readingPrograms = []string{
	"[", "[[", "awk", "basename", "bc", "case", "cat", "cmp", "conntrack", "cut", "depmod", "diff", "dirname", "dmesg",
	"egrep", "exit", "expr", "fgrep", "file", "find", "gawk", "grep", "head", "journalctl", "jq", "less",
	"log", "logger", "ls", "lsmod", "mawk", "mkdir", "modinfo", "more", "read", "return", "rm", "rmmod", "sort", "stat",
	"systemctl", "tail", "test", "touch", "tr", "uniq", "wc", "which", "zgrep", ":",
}

// shellWrites reports whether a line of a shell script can write the key that it has. A line that cannot be
// parsed, and a program that is not known, can.
func (f searchedFile) shellWrites(line string) bool {
	rest := withoutReading(line)
	if !keyPattern.MatchString(rest) {
		return false
	}
	all := parseShell(rest)
	named := false
	for i, c := range all {
		if !c.names() {
			continue
		}
		named = true
		next := command{}
		if i+1 < len(all) && all[i+1].piped {
			next = all[i+1]
		}
		if f.commandWrites(c, next) {
			return true
		}
	}
	return !named && f.variableWrites(rest)
}

// withoutReading returns a line without what only reads.
func withoutReading(line string) string {
	return readingText.ReplaceAllStringFunc(discarded.ReplaceAllString(line, " "), func(text string) string {
		if commanded.MatchString(text) {
			return text
		}
		return " "
	})
}

// names reports whether a command has a key in its words, its output or its variables.
func (c command) names() bool {
	return keyPattern.MatchString(c.file) || slices.ContainsFunc(c.words, keyPattern.MatchString) ||
		slices.ContainsFunc(c.assigns, func(v variable) bool { return keyPattern.MatchString(v.value) })
}

// commandWrites reports whether a command that names a key can write it. next is the command that reads its
// output, if there is one.
func (f searchedFile) commandWrites(c, next command) bool {
	program, args := c.program()
	switch {
	case keyPattern.MatchString(c.file):
		return true
	case program == "":
		return slices.ContainsFunc(c.assigns, func(v variable) bool {
			return keyPattern.MatchString(v.value) && (commanded.MatchString(v.value) || f.writesVariable(v.name))
		})
	case keyPattern.MatchString(program): // a line of a here-document, or of a list
		return assigned.MatchString(strings.Join(c.words, " ")) || f.variableWrites("")
	case program == "sysctl":
		return slices.ContainsFunc(args, func(arg string) bool {
			return strings.Contains(arg, "=") || arg == "-w" || arg == "--write"
		})
	case program == "modprobe" || program == "insmod":
		return slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "hashsize=") })
	case program == "echo" || program == "printf":
		reader, _ := next.program()
		isConfig := regexp.MustCompile(`^(?:/etc/|/proc/|/run/|/usr/|.*\$)`).MatchString(c.file)
		return isConfig && assigned.MatchString(strings.Join(args, " ")) ||
			slices.Contains([]string{"sysctl", "sh", "bash", "tee", "xargs", "while"}, reader)
	case program == "sed":
		return slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-i") })
	}
	return !slices.Contains(readingPrograms, program)
}

// variableWrites reports whether a line that is no complete command puts a key into a variable, or a list,
// with which the file writes.
func (f searchedFile) variableWrites(line string) bool {
	if match := variablePattern.FindStringSubmatch(line); match != nil && !strings.Contains(line, "(") {
		return f.writesVariable(match[1] + match[2])
	}
	return indirect.MatchString(f.text)
}

// writesVariable reports whether the file writes to what a variable names: by itself, through a loop over
// it, or through an argument of a function.
func (f searchedFile) writesVariable(name string) bool {
	names := []string{regexp.QuoteMeta(name)}
	const rounds = 3 // a loop within a function
	for range rounds {
		more := f.copies(names)
		if len(more) == 0 {
			break
		}
		names = append(names, more...)
	}
	use := useOf(names)
	return regexp.MustCompile(`\bsysctl\b[^\n|;]*(?:(?:\s-w\b|--write\b)[^\n|;]*` + use + `|` +
		use + `[^\s"']*["']?=)|(?:>|\btee\b[^\n|;]*)\s*["']?[^\s"'|;]*` + use).MatchString(f.text)
}

// useOf matches the use of one of several variables.
func useOf(names []string) string { return `\$\{?(?:` + strings.Join(names, "|") + `)(?:\b|[^\w]|$)` }

// copies returns the variables that get their value from others: K of "for K in $LIST" and of K=$1, and 1, 2
// and @ if one is passed to a command that is not known.
func (f searchedFile) copies(names []string) []string {
	use := regexp.MustCompile(useOf(names))
	var more []string
	for _, line := range f.lines {
		line = withoutReading(withoutComment(line))
		if !use.MatchString(line) {
			continue
		}
		if match := variablePattern.FindStringSubmatch(line); match != nil {
			more = append(more, match[1]+match[2])
			continue
		}
		for _, c := range parseShell(line) {
			program, args := c.program()
			isKnown := slices.Contains(readingPrograms, program) ||
				slices.Contains([]string{"", "echo", "printf", "sysctl", "tee", "sed", "modprobe"}, program)
			if !isKnown && slices.ContainsFunc(args, use.MatchString) {
				more = append(more, "1", "2", "@", `\*`)
			}
		}
	}
	slices.Sort(more)
	return slices.DeleteFunc(slices.Compact(more), func(name string) bool { return slices.Contains(names, name) })
}
