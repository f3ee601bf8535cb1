package inventory

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// truth is the result of a command or of a condition.
type truth int

const (
	unknown truth = iota
	yes
	no
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func (t truth) and(other truth) truth {
	switch {
	case t == no || other == no:
		return no
	case t == yes && other == yes:
		return yes
	}
	return unknown
}

func (t truth) or(other truth) truth { return t.not().and(other.not()).not() }

// doubt returns why it is not known whether something runs that depends on a condition.
func (t truth) doubt(before, why string) string {
	if before == "" && t == unknown {
		return why
	}
	return before
}

// trusted are programs that are expected to succeed and to be installed.
var trusted = []string{
	"sysctl", "modprobe", "echo", "printf", "sleep", "tee", "true", ":", "mkdir", "cd", "logger", "touch", "export",
	"set", "udevadm", "cat", "chmod", "command", "local", "unset", "trap", "ulimit", "wait", "sync", "shift",
}

// result returns whether a command succeeds, as far as that can be expected.
func (in *interpreter) result(c command) truth {
	switch c.words[0] {
	case "command", "which", "type", "hash":
		i := slices.IndexFunc(c.words[1:], func(word string) bool { return !strings.HasPrefix(word, "-") })
		if i < 0 {
			return unknown
		}
		return in.isInstalled(c.words[1+i])
	}
	switch name, _ := c.program(); {
	case name == "false":
		return no
	case slices.Contains(trusted, name):
		return yes
	}
	return unknown
}

// isInstalled reports whether a program is in one of the usual directories.
func (in *interpreter) isInstalled(name string) truth {
	result := no
	for _, dir := range []string{"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/", "/usr/local/sbin/", "/usr/local/bin/"} {
		result = result.or(in.files(dir + name))
	}
	return result
}

// matchPattern matches a text with a pattern of a case or of [[ … ]].
func matchPattern(pattern, text string) truth {
	if isComputed(pattern) || isComputed(text) && pattern != "*" {
		return unknown
	}
	slash := strings.NewReplacer("/", "\x01") // which * matches too
	ok, err := path.Match(slash.Replace(pattern), slash.Replace(text))
	if err != nil {
		return unknown
	}
	return truthOf(ok)
}

// anInterface is the argument of a script that runs for each interface. One of them is not lo.
const anInterface = "$IFACE"

// test decides the condition of test(1). With patterns, as in [[ … ]], = matches a pattern.
func (in *interpreter) test(args []string, patterns bool) truth {
	for _, operator := range []string{"-o", "-a"} {
		if i := slices.Index(args, operator); i > 0 && i < len(args)-1 {
			x, y := in.test(args[:i], patterns), in.test(args[i+1:], patterns)
			if operator == "-o" {
				return x.or(y)
			}
			return x.and(y)
		}
	}
	switch {
	case len(args) == 0:
		return no
	case args[0] == "!" && len(args) > 1:
		return in.test(args[1:], patterns).not()
	case len(args) == 3 && args[0] == anInterface && args[2] == "lo":
		return compare("eth", args[1], "lo", false)
	case slices.ContainsFunc(args, isComputed):
		return unknown
	case len(args) == 1:
		return truthOf(args[0] != "")
	case len(args) == 2:
		switch args[0] {
		case "-n":
			return truthOf(args[1] != "")
		case "-z":
			return truthOf(args[1] == "")
		case "-e", "-f", "-d", "-r", "-x", "-w":
			return in.files(args[1])
		}
	case len(args) == 3:
		return compare(args[0], args[1], args[2], patterns)
	}
	return unknown
}

// compare decides X OPERATOR Y of test(1).
func compare(x, operator, y string, patterns bool) truth {
	switch operator {
	case "=", "==", "!=":
		equal := truthOf(x == y)
		if patterns {
			equal = matchPattern(y, x)
		}
		if operator == "!=" {
			return equal.not()
		}
		return equal
	}
	a, err1 := strconv.Atoi(x)
	b, err2 := strconv.Atoi(y)
	if err1 != nil || err2 != nil {
		return unknown
	}
	switch operator {
	case "-eq":
		return truthOf(a == b)
	case "-ne":
		return truthOf(a != b)
	case "-lt":
		return truthOf(a < b)
	case "-le":
		return truthOf(a <= b)
	case "-gt":
		return truthOf(a > b)
	case "-ge":
		return truthOf(a >= b)
	}
	return unknown
}

// testClause decides [[ … ]].
func (in *interpreter) testClause(x syntax.TestExpr) truth {
	switch x := x.(type) {
	case *syntax.ParenTest:
		return in.testClause(x.X)
	case *syntax.UnaryTest:
		if x.Op == syntax.TsNot {
			return in.testClause(x.X).not()
		}
		if word, ok := x.X.(*syntax.Word); ok {
			return in.test([]string{x.Op.String(), in.expand(word.Parts, false)}, true)
		}
	case *syntax.BinaryTest:
		switch x.Op {
		case syntax.AndTest:
			return in.testClause(x.X).and(in.testClause(x.Y))
		case syntax.OrTest:
			return in.testClause(x.X).or(in.testClause(x.Y))
		}
		left, ok1 := x.X.(*syntax.Word)
		right, ok2 := x.Y.(*syntax.Word)
		if ok1 && ok2 {
			return in.test([]string{in.expand(left.Parts, false), x.Op.String(), in.expand(right.Parts, false)}, true)
		}
	case *syntax.Word:
		return in.test([]string{in.expand(x.Parts, false)}, true)
	}
	return unknown
}

// existence decides whether a file exists when a script runs. What is not in a collected tree may
// exist on the host; what is not in /proc, /sys and /run now may exist then.
func (r *reader) existence(file string) truth {
	file = path.Clean(file)
	for _, dir := range []string{"/run/", "/var/run/", "/tmp/", "/var/lock/", "/dev/shm/"} {
		if strings.HasPrefix(file, dir) {
			return unknown
		}
	}
	isKernels := strings.HasPrefix(file, "/proc/") || strings.HasPrefix(file, "/sys/")
	switch {
	case !path.IsAbs(file):
		return unknown
	case r.tree.Exists(file), isProgramPath(file) && slices.Contains(trusted, path.Base(file)):
		return yes
	case !r.tree.Live() || isKernels || !r.tree.Gone(file):
		return unknown
	}
	return no
}

// isProgramPath reports whether a file is in one of the directories of programs.
func isProgramPath(file string) bool {
	return slices.Contains([]string{
		"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin",
	}, path.Dir(file))
}
