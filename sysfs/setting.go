package sysfs

import (
	"math"
	"slices"
	"strings"
)

// Kind is how a setting's value is written in a configuration, and its unit.
type Kind string

// The kinds of nf_conntrack's settings.
const (
	// Count is a whole number.
	Count Kind = "count"
	// Bool is 0 or 1; configurations may say false and true.
	Bool Kind = "bool"
	// Seconds is a whole number of seconds; configurations may say 5m or 24h.
	Seconds Kind = "seconds"
	// Bytes is a whole number of bytes.
	Bytes Kind = "bytes"
	// Text is compared word by word: a sysctl that is not in the catalogue.
	Text Kind = "text"
)

const (
	// maxInt is INT_MAX, the bound of proc_dointvec and its relatives.
	maxInt = math.MaxInt32
	// maxSeconds is the largest timeout: proc_dointvec_jiffies refuses more than INT_MAX
	// jiffies, and no kernel has less than CONFIG_HZ=100. A kernel with a larger HZ refuses
	// some smaller values too; its error is then the setting's error.
	maxSeconds = maxInt / 100

	sysctlDir    = "proc/sys/net/netfilter"
	sysctlPrefix = "nf_conntrack_"
	paramsDir    = "sys/module/nf_conntrack/parameters"
	// strictFile is kernel.sysctl_writes_strict.
	strictFile = "proc/sys/kernel/sysctl_writes_strict"
	// initstateFile is not there where the module is in the kernel image.
	initstateFile = "sys/module/nf_conntrack/initstate"
)

// Setting describes one run-time setting of nf_conntrack.
type Setting struct {
	// Name is the setting's name in configuration, status, journal and metrics: NAME of
	// nf_conntrack_NAME, and hashsize for nf_conntrack_buckets.
	Name string
	// Alias is a second short name of the same setting, or empty.
	Alias string
	// Kind is the unit; Min and Max, both included, are the range that the kernel accepts.
	// Min and Max have no meaning for Text.
	Kind     Kind
	Min, Max int64
	// Ceiling is the name of the setting that bounds this one. When both are raised, the
	// ceiling is written first; when both are lowered, last.
	Ceiling string
	// ZeroIsNoLimit is true where the kernel takes 0 to mean "no limit".
	ZeroIsNoLimit bool
	// Since and Until are the first and the last kernel version with the setting, for the
	// reference only. ctkeeper checks whether the file exists instead.
	Since, Until string
	// Global is true for a setting of the whole host, which only the initial network namespace
	// may write; the other settings are per namespace.
	Global bool
	// Doc describes the setting, for the reference.
	Doc string

	file  string // the sysctl file, below the root
	param string // the module parameter with the same value, below the root, or empty
	step  bool   // the kernel rounds up to whole pages of buckets
}

// File returns the setting's sysctl file, below the root directory of the system.
func (s *Setting) File() string { return s.file }

// Sysctls returns the setting's sysctl files, below the root directory of the system: max has
// two, of which the alias exists in the initial network namespace only.
func (s *Setting) Sysctls() []string {
	if s.Name == Max {
		return []string{s.file, aliasFile}
	}
	return []string{s.file}
}

// Sysctl returns the setting's full name as sysctl(8) prints it.
func (s *Setting) Sysctl() string {
	return strings.ReplaceAll(strings.TrimPrefix(s.file, "proc/sys/"), "/", ".")
}

// Catalogue returns every writable nf_conntrack sysctl of Linux 5.10 to 7.2, in the order of the
// reference.
func Catalogue() []*Setting { return slices.Clone(catalogue) }

// Lookup returns the setting with a name as configurations have it: the short name (max), the
// kernel's (nf_conntrack_max), or the full sysctl name with dots or slashes
// (net.netfilter.nf_conntrack_max, and its old alias net.nf_conntrack_max). For a full name
// below net.netfilter that is not in the catalogue it returns a Text setting of that name. It
// returns nil for anything else.
func Lookup(name string) *Setting {
	if name == "" {
		return nil
	}
	dotted := strings.ReplaceAll(name, "/", ".")
	if dotted == "net.nf_conntrack_max" {
		dotted = "nf_conntrack_max"
	}
	for _, s := range catalogue {
		names := []string{s.Name, s.Alias, s.Sysctl(), strings.TrimPrefix(s.Sysctl(), "net.netfilter.")}
		if slices.Contains(names, dotted) {
			return s
		}
	}
	if !strings.HasPrefix(dotted, "net.netfilter.") || !plainKey(dotted) {
		return nil
	}
	return &Setting{
		Name: dotted, Kind: Text, Doc: "A sysctl that is not in the catalogue, kept as text.",
		file: "proc/sys/" + strings.ReplaceAll(dotted, ".", "/"),
	}
}

// Names returns the short names of all settings, aliases included.
func Names() []string {
	var names []string
	for _, s := range catalogue {
		names = append(names, s.Name)
		if s.Alias != "" {
			names = append(names, s.Alias)
		}
	}
	return names
}

// ReadOnly reports whether name is a read-only file of nf_conntrack: the count of connections.
func ReadOnly(name string) bool {
	name = strings.ReplaceAll(name, "/", ".")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "net.netfilter."), sysctlPrefix)
	return name == "count"
}

// plainKey reports whether a dotted sysctl name can safely become a path: it has only non-empty
// words of letters, digits, - and _.
func plainKey(dotted string) bool {
	for word := range strings.SplitSeq(dotted, ".") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}
