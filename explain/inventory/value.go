package inventory

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const parametersDir = "/sys/module/nf_conntrack/parameters/"

// Why a written value has no effect or is uncertain.
const (
	refused   = "the kernel refuses the value: "
	notNumber = refused + "it is not a number"
	computed  = "computed when it is applied: "
)

// evaluate replaces the written value of an assignment by what the kernel makes of it. If the kernel
// refuses the value, the assignment has no effect. All assignments of all readers pass here.
func (r *reader) evaluate(a *Assignment) {
	if a.Uncertain != "" && isComputed(a.Value) {
		return
	}
	value, why, uncertain := "", "", ""
	switch {
	case a.Parameter:
		value, why = r.evaluateParameter(a.Name, a.Value)
	case a.Key == hashsizeFile:
		value, why = evaluateUint(a.Value)
		if value == "0" {
			why = refused + "there is no table without buckets" // nf_conntrack_hash_resize
		}
	default:
		value, why, uncertain = evaluateSetting(a.Name, a.Value)
	}
	if why == "" {
		a.Value = value
	} else if a.NoEffect == "" {
		a.NoEffect, a.Invalid = why, true
	}
	if why == notNumber && a.Meant == "" {
		a.Meant = meant(a.Value)
	}
	if a.Uncertain == "" {
		a.Uncertain = uncertain
	}
}

// addExpanded adds an assignment whose value a shell or TuneD expands: with a "$" that is left, only they
// know the value.
func (r *reader) addExpanded(a Assignment) {
	if isComputed(a.Value) && a.Uncertain == "" {
		a.Uncertain = computed + a.Value
	}
	r.addAssignment(a)
}

// isComputed reports whether a shell or TuneD replaces a part of a text when it runs.
func isComputed(text string) bool { return strings.ContainsAny(text, "$`") }

// evaluateSetting returns the value that a sysctl has after a write, or why the write has no effect, and
// why that is not known for all kernels.
func evaluateSetting(name, written string) (value, noEffect, uncertain string) {
	s := sysfs.Lookup(name)
	if s == nil || s.Kind == sysfs.Text {
		return written, "", ""
	}
	n, ok := sysfs.ParseLong(written)
	if !ok {
		return "", notNumber, ""
	}
	value = strconv.FormatInt(n, 10)
	switch {
	case s.Name == sysfs.Hashsize && (n < 1 || n > s.Max):
		return "", fmt.Sprintf(refused+"it is not from 1 to %d", s.Max), ""
	case n > s.Max && s.Max >= math.MaxInt32/100, n < -math.MaxInt32: // INT_MAX, or INT_MAX jiffies
		return "", fmt.Sprintf(refused+"it is above %d", s.Max), ""
	case s.Kind == sysfs.Seconds && n > math.MaxInt32/1000: // proc_dointvec_jiffies
		uncertain = fmt.Sprintf("kernels with CONFIG_HZ=1000 refuse more than %d seconds", math.MaxInt32/1000)
	case n < s.Min && s.Max == math.MaxInt32: // max and expect_max have a minimum since 5.11 and 6.1
		uncertain = fmt.Sprintf("newer kernels refuse less than %d", s.Min)
	case s.Kind != sysfs.Seconds && (n < s.Min || n > s.Max): // had no range before 5.3
		uncertain = fmt.Sprintf("kernels since 5.3 accept only %d to %d", s.Min, s.Max)
	}
	return value, "", uncertain
}

// parameterIsBool has the parameters of nf_conntrack and whether they are bools. The others are
// unsigned numbers (nf_conntrack_standalone.c, nf_conntrack_core.c, nf_conntrack_acct.c, ...).
var parameterIsBool = map[string]bool{
	sysfs.Hashsize: false, sysfs.ExpectHashsize: false,
	"acct": true, "tstamp": true, "nf_conntrack_helper": true, "enable_hooks": true,
}

// evaluateParameter returns the value that a load-time parameter gets, or why it has no effect.
func (r *reader) evaluateParameter(name, written string) (value, noEffect string) {
	isBool, known := parameterIsBool[name]
	switch {
	case !known && r.tree.Exists(parametersDir+name):
		return written, ""
	case name == "nf_conntrack_helper" && r.isAfter("5.19"):
		return "", "this kernel has no such parameter: the last one that has it is Linux 5.19"
	case !known: // unknown_module_param_cb; before 3.11 the module did not load
		return "", "the module has no such parameter: the kernel ignores it"
	case isBool:
		on, ok := sysfs.ParseBool(written)
		switch {
		case !ok:
			return "", refused + "it is neither 0 nor 1"
		case on:
			return "1", ""
		}
		return "0", ""
	}
	value, noEffect = evaluateUint(written)
	if value == "0" { // nf_conntrack_init_start, nf_conntrack_expect_init
		return "", "with 0 the kernel chooses the size itself"
	}
	return value, noEffect
}

// evaluateUint returns a number of buckets, or why the kernel refuses it.
func evaluateUint(written string) (value, noEffect string) {
	n, ok := sysfs.ParseUint(written)
	switch {
	case !ok:
		return "", notNumber
	case n > sysfs.MaxBuckets:
		return "", fmt.Sprintf(refused+"it is above %d", sysfs.MaxBuckets)
	}
	return strconv.FormatInt(n, 10), ""
}

// thousands is a number with separators between groups of three digits.
var thousands = pattern.New(`^\d{1,3}([,_']\d{3})+$`)

// meant returns the number that a refused text stands for to a person: without quotes, separators of
// thousands, and a comment or semicolon that touches it. It is "" if no number is plain.
func meant(text string) string {
	text, _, _ = strings.Cut(text, "#")
	text = strings.Trim(text, " \t\r;\"'")
	if thousands.MatchString(text) {
		text = strings.NewReplacer(",", "", "_", "", "'", "").Replace(text)
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil && n > 0 {
		return strconv.FormatUint(n, 10)
	}
	return ""
}

// meantOption returns the value that the writer of a load-time parameter without one meant: modprobe
// splits "hashsize = 262144" at the blanks, and the kernel gets three words.
func meantOption(options []kmod.Option, i int) string {
	sign := options[i].Value == "" && !options[i].Bare
	for _, o := range options[i+1:] {
		word, after := strings.CutPrefix(o.Name, "=")
		if o.Place != options[i].Place || !o.Bare || sign == after {
			break
		}
		if word != "" {
			return meant(word)
		}
		sign = true
	}
	return ""
}
