package sysfs

import (
	"math"
	"slices"
	"strings"
)

// Kind says how a setting's value is written in a configuration and what it
// measures.
type Kind string

// The kinds of value that nf_conntrack's settings have.
const (
	// Count is a whole number.
	Count Kind = "count"
	// Bool is 0 or 1; configurations may say false and true.
	Bool Kind = "bool"
	// Seconds is a whole number of seconds; configurations may say 5m or 24h.
	Seconds Kind = "seconds"
	// Bytes is a whole number of bytes.
	Bytes Kind = "bytes"
	// Text is compared word by word: a sysctl that the catalogue does not know.
	Text Kind = "text"
)

const (
	// maxInt is INT_MAX, the bound of proc_dointvec and its relatives.
	maxInt = math.MaxInt32
	// maxSeconds bounds a timeout: proc_dointvec_jiffies refuses what exceeds
	// INT_MAX jiffies, and no kernel ticks slower than CONFIG_HZ=100. A kernel
	// that ticks faster refuses some values below it; those come back as the
	// setting's error.
	maxSeconds = maxInt / 100

	sysctlDir    = "proc/sys/net/netfilter"
	sysctlPrefix = "nf_conntrack_"
	paramsDir    = "sys/module/nf_conntrack/parameters"
)

// Setting is one run-time setting of nf_conntrack, as the catalogue knows it.
type Setting struct {
	// Name is the setting's name in configurations, status, journal and
	// metrics: NAME of nf_conntrack_NAME, and hashsize for the buckets.
	Name string
	// Alias is a second short name of the same setting, or empty.
	Alias string
	// Kind, Min and Max say which values the kernel takes, Min and Max
	// included. They mean nothing for Text.
	Kind     Kind
	Min, Max int64
	// Ceiling names the setting that bounds this one. Raising both, the ceiling
	// is written first; lowering both, last.
	Ceiling string
	// ZeroIsNoLimit is true where the kernel takes 0 to mean "no limit".
	ZeroIsNoLimit bool
	// Since and Until bound the kernels that have the setting, in words for
	// people. ctkeeper never decides by them: it looks whether the file is there.
	Since, Until string
	// Global is true where one value serves the whole host and only the initial
	// network namespace may write it; the other settings are per namespace.
	Global bool
	// Doc is one sentence for the reference.
	Doc string

	file  string // below the root; the sysctl file
	param string // below the root; the module parameter behind it, or empty
	step  bool   // the kernel rounds up to whole pages of buckets
}

// File is the setting's sysctl file, below the root directory of the system.
func (s *Setting) File() string { return s.file }

// Sysctl is the setting's full name as sysctl(8) prints it.
func (s *Setting) Sysctl() string {
	return strings.ReplaceAll(strings.TrimPrefix(s.file, "proc/sys/"), "/", ".")
}

// Catalogue returns every writable nf_conntrack sysctl of Linux 5.10 to 7.2, in
// the order of the reference. The slice is the caller's.
func Catalogue() []*Setting { return slices.Clone(catalogue) }

// Lookup finds the setting that a configuration calls name: a short name (max),
// the kernel's (nf_conntrack_max), or the full sysctl name with dots or slashes
// (net.netfilter.nf_conntrack_max, and its old alias net.nf_conntrack_max).
// A full name below net.netfilter that the catalogue does not have gives a Text
// setting under that full name. It is nil for anything else.
func Lookup(name string) *Setting {
	if name == "" {
		return nil
	}
	dotted := strings.ReplaceAll(name, "/", ".")
	if dotted == "net.nf_conntrack_max" {
		dotted = "nf_conntrack_max"
	}
	for _, s := range catalogue {
		if slices.Contains([]string{s.Name, s.Alias, s.Sysctl(), strings.TrimPrefix(s.Sysctl(), "net.netfilter.")}, dotted) {
			return s
		}
	}
	if !strings.HasPrefix(dotted, "net.netfilter.") || !plainKey(dotted) {
		return nil
	}
	return &Setting{
		Name: dotted, Kind: Text, Doc: "A sysctl that ctkeeper does not know, kept as text.",
		file: "proc/sys/" + strings.ReplaceAll(dotted, ".", "/"),
	}
}

// ReadOnly reports whether name is a file of nf_conntrack that tells a figure
// and cannot be set.
func ReadOnly(name string) bool {
	name = strings.ReplaceAll(name, "/", ".")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "net.netfilter."), sysctlPrefix)
	return name == "count"
}

// plainKey reports whether a dotted sysctl name is safe to turn into a path:
// non-empty words of letters, digits, - and _.
func plainKey(dotted string) bool {
	for word := range strings.SplitSeq(dotted, ".") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}
