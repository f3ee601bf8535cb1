package expectation

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	expectMaxFile = "/proc/sys/net/netfilter/nf_conntrack_expect_max"

	// enoughExpectations is suggested for hosts whose helpers need more: 3 MiB when full.
	enoughExpectations = 8192
	// mostExpectations is the largest suggestion.
	mostExpectations = 1 << 22
	// smallExpectMax is the kernel's default on small and on old hosts: 16384 buckets / 64. With SIP,
	// which announces up to four expectations a call, even the default of 65536 buckets is soon used up.
	smallExpectMax    = 256
	smallExpectMaxSIP = 1024
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return append(checkTable(h), h.Run(checkAutomatic, checkHelperModules, checkUnusedHelpers, checkHelpers)...)
}

// checkTable merges what the use, the kernel's log and the limit show of one problem.
func checkTable(h *picture.Host) []finding.Finding {
	return finding.Merge(h.Run(checkUse, checkDrops, checkLimit))
}

// checkUse compares the number of expectations with its limit.
func checkUse(h *picture.Host) []finding.Finding {
	if h.Figures.Expectations == nil || h.Figures.ExpectMax == nil || *h.Figures.ExpectMax < 0 {
		return nil
	}
	used, limit := *h.Figures.Expectations, *h.Figures.ExpectMax
	f := finding.Finding{
		ID: "expectation-table-full", Severity: finding.Error,
		Summary: fmt.Sprintf("the expectation table is full: %d of %d", used, limit),
		Evidence: []finding.Evidence{finding.Seen(picture.ExpectationsFile, 0, fmt.Sprintf("%d expectations",
			used)), limitEvidence(limit)},
	}
	switch {
	case used >= limit:
	case used*100 >= limit*picture.FillingPercent:
		f.ID, f.Severity = "expectation-table-filling", finding.Warning
		f.Summary = fmt.Sprintf("the expectation table is %d %% full: %d of %d", used*100/limit, used, limit)
	default:
		return nil
	}
	f.Evidence = slices.Concat(f.Evidence, countsByHelper(h), helpersInUse(h))
	f.Fix, f.Note = raiseLimit(h)
	return []finding.Finding{f}
}

func limitEvidence(limit int64) finding.Evidence {
	return finding.Seen(expectMaxFile, 0, strconv.FormatInt(limit, 10))
}

// checkDrops reports refused expectations in the kernel's log.
func checkDrops(h *picture.Host) []finding.Finding {
	all := h.CountMessages(refusalText)
	if len(all) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "expectation-drops", Severity: finding.Warning,
		Summary: "helpers were refused expectations: calls and transfers through this host fail",
	}
	for _, message := range all {
		f.Evidence = append(f.Evidence, message.Evidence())
		if message.Text == tableFullText {
			f.Severity = finding.Error
			f.Summary = "the expectation table was full: calls and transfers through this host fail"
		}
	}
	if h.Figures.ExpectMax != nil {
		f.Evidence = append(f.Evidence, limitEvidence(*h.Figures.ExpectMax))
	}
	f.Evidence = append(f.Evidence, helpersInUse(h)...)
	if h.IsApplied("expect_max") && !h.HasMessageSinceConfig(all) {
		f.Severity = finding.Info
		f.Note = "The configuration was changed after the last of these messages, and its value is applied."
		return []finding.Finding{f}
	}
	f.Fix, f.Note = raiseLimit(h)
	if f.Severity == finding.Warning {
		f.Note = "It is also possible that one connection reached the limit of its helper, or that a range of NAT " +
			"ports is used up. " + f.Note
	}
	return []finding.Finding{f}
}

const tableFullText = "nf_conntrack: expectation table full"

// refusalText returns a message of the kernel's log about a refused expectation, without the packet at
// its end; "" for other messages. The messages are those of __nf_ct_expect_check, and of nf_ct_helper_log
// in its old and its new form.
func refusalText(text string) string {
	if klog.ExpectationTableFull(text) {
		return tableFullText
	}
	if !strings.Contains(text, "dropping packet: ") {
		return ""
	}
	message := regexp.MustCompile(`(?:nf_ct_\S+:|helper \S+) dropping packet: (.*)`).FindStringSubmatch(text)
	if message == nil {
		return ""
	}
	reason, _, _ := strings.Cut(message[1], " IN=")
	reason = strings.TrimSpace(reason)
	if !strings.HasPrefix(reason, "all ports in use") && !strings.HasPrefix(reason, "cannot add expectation") {
		return ""
	}
	return strings.TrimSuffix(message[0], message[1]) + reason
}

// checkLimit reports the kernel's small default on a host that uses helpers.
func checkLimit(h *picture.Host) []finding.Finding {
	used := helpersInUse(h)
	if h.Figures.ExpectMax == nil || len(used) == 0 || *h.Figures.ExpectMax < 0 {
		return nil
	}
	limit, small := *h.Figures.ExpectMax, int64(smallExpectMax)
	if usesHelper(h, "sip") && !isLimitSet(h) {
		small = smallExpectMaxSIP
	}
	if limit > small {
		return nil
	}
	f := finding.Finding{
		ID: "expect-max-small", Severity: finding.Warning,
		Summary:  fmt.Sprintf("expect_max is %d, a small default of the kernel, and helpers are in use", limit),
		Evidence: append([]finding.Evidence{limitEvidence(limit)}, used...),
	}
	f.Fix, f.Note = raiseLimit(h)
	return []finding.Finding{f}
}

// isLimitSet reports whether anything assigns expect_max or expect_hashsize.
func isLimitSet(h *picture.Host) bool {
	_, isSetting := h.Want("expect_max")
	_, isParameter := h.Parameter(sysfs.ExpectHashsize)
	if isSetting || isParameter {
		return true
	}
	for _, a := range h.Inventory.Assignments {
		if a.NoEffect == "" && (a.Name == "expect_max" || a.Name == sysfs.ExpectHashsize) {
			return true
		}
	}
	return false
}

// neededLimit returns the limit that this host should have: more than twice the present use and, where
// the table overflowed, more than the present limit.
func neededLimit(h *picture.Host) int64 {
	needed := int64(enoughExpectations)
	double := func(isTooSmall func() bool) {
		for isTooSmall() && needed < mostExpectations {
			needed *= 2
		}
	}
	used, limit := h.Figures.Expectations, h.Figures.ExpectMax
	wasFull := slices.ContainsFunc(h.CountMessages(refusalText),
		func(c picture.MessageCount) bool { return c.Text == tableFullText })
	if limit != nil && (wasFull || used != nil && *used >= *limit) {
		double(func() bool { return needed <= *limit })
	}
	if used != nil {
		double(func() bool { return *used*2 >= needed })
	}
	return needed
}

// raiseLimit returns the commands that raise the limit now and for every later load of the module.
func raiseLimit(h *picture.Host) (fix []finding.Step, note string) {
	if h.Env.ChildNetns {
		return nil, "expect_max belongs to the host's initial network namespace: raise it on the host."
	}
	needed := neededLimit(h)
	if fix, note = fixes.EnforceAtLeast(h, sysfs.ExpectMax, needed); len(fix) > 0 {
		return fix, note
	}
	settings := []fixes.Entry{{"expect_max", strconv.FormatInt(needed, 10)}}
	buckets := strconv.FormatInt(needed/sysfs.ExpectMaxFactor, 10)
	if h.Module.State == kmod.BuiltIn {
		return fixes.Configure(h, "expectations", settings, nil),
			"The module is part of the kernel: its hash table for expectations is sized on the kernel command line " +
				"(nf_conntrack.expect_hashsize=" + buckets +
				"). Without that the limit works too, with longer hash chains."
	}
	return fixes.Configure(h, "expectations", settings, []fixes.Entry{{"expect_hashsize", buckets}}),
		"expect_max is applied at once. expect_hashsize, which sizes expect_max when the module is loaded, takes " +
			"effect at the next load."
}
