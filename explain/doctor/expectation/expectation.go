package expectation

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const expectMaxFile = "/proc/sys/net/netfilter/nf_conntrack_expect_max"

// perBucket is what the kernel makes expect_max of: 4 times expect_hashsize
// (nf_conntrack_expect_init).
const perBucket = 4

// enoughExpectations is what a host gets whose helpers need room: 3 MiB when full.
const enoughExpectations = 8192

// mostExpectations keeps a suggestion within reason.
const mostExpectations = 1 << 22

// smallExpectMax is the kernel's own value on small and on old hosts: 16384
// buckets / 64. With SIP, which announces up to four expectations a call, even
// that of 65536 buckets is soon used up.
const smallExpectMax = 256

const smallExpectMaxSIP = 1024

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return append(checkTable(h), h.Run(checkAutomatic, checkHelperModules, checkUnusedHelpers, checkHelpers)...)
}

// checkTable merges what the table, the kernel's log and the limit report of one problem.
func checkTable(h *picture.Host) []finding.Finding {
	return finding.Merge(h.Run(checkUse, checkDrops, checkLimit))
}

// checkUse holds the number of expectations against its limit.
func checkUse(h *picture.Host) []finding.Finding {
	if h.Figures.Expectations == nil || h.Figures.ExpectMax == nil || *h.Figures.ExpectMax < 0 {
		return nil
	}
	used, limit := *h.Figures.Expectations, *h.Figures.ExpectMax
	f := finding.Finding{
		ID: "expectation-table-full", Severity: finding.Error,
		Summary: fmt.Sprintf("the expectation table is full: %d of %d", used, limit),
	}
	switch {
	case used >= limit:
	case used*100 >= limit*picture.FillingPercent:
		f.ID, f.Severity = "expectation-table-filling", finding.Warning
		f.Summary = fmt.Sprintf("the expectation table is %d %% full: %d of %d", used*100/limit, used, limit)
	default:
		return nil
	}
	f.Evidence = append(f.Evidence, finding.Seen(picture.ExpectationsFile, 0, fmt.Sprintf("%d expectations", used)), finding.Seen(expectMaxFile, 0, strconv.FormatInt(limit, 10)))
	f.Evidence = append(f.Evidence, expectationsByHelper(h)...)
	f.Evidence = append(f.Evidence, helpersUsed(h)...)
	f.Fix, f.Note = raiseLimit(h)
	return []finding.Finding{f}
}

// checkDrops finds in the kernel's log that helpers were refused expectations.
func checkDrops(h *picture.Host) []finding.Finding {
	all := h.CountMessages(refusalMessage)
	if len(all) == 0 {
		return nil
	}
	f := finding.Finding{ID: "expectation-drops", Severity: finding.Warning, Summary: "helpers were refused expectations: calls and transfers through this host fail"}
	for _, t := range all {
		f.Evidence = append(f.Evidence, t.Evidence())
		if t.What == tableFullMessage {
			f.Severity = finding.Error
			f.Summary = "the expectation table was full: calls and transfers through this host fail"
		}
	}
	if h.Figures.ExpectMax != nil {
		f.Evidence = append(f.Evidence, finding.Seen(expectMaxFile, 0, strconv.FormatInt(*h.Figures.ExpectMax, 10)))
	}
	f.Evidence = append(f.Evidence, helpersUsed(h)...)
	if h.IsApplied("expect_max") && !h.HasMessageSinceConfig(all) {
		f.Severity, f.Note = finding.Info, "The configuration was changed since the last of these messages, and what it asks for is in force."
		return []finding.Finding{f}
	}
	f.Fix, f.Note = raiseLimit(h)
	if f.Severity == finding.Warning {
		f.Note = "One connection may also have reached its helper's own limit, or a range of NAT ports is used up. " + f.Note
	}
	return []finding.Finding{f}
}

const tableFullMessage = "nf_conntrack: expectation table full"

// refusalMessage names a message of the kernel's log that tells of an
// expectation that could not be made, without the packet that follows: of
// __nf_ct_expect_check, and of nf_ct_helper_log in its old form and the new one.
func refusalMessage(text string) string {
	if klog.ExpectationTableFull(text) {
		return tableFullMessage
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

// checkLimit finds the kernel's own small limit on a host that uses helpers.
func checkLimit(h *picture.Host) []finding.Finding {
	used := helpersUsed(h)
	if h.Figures.ExpectMax == nil || len(used) == 0 {
		return nil
	}
	limit := *h.Figures.ExpectMax
	small := limit >= 0 && limit <= smallExpectMax
	if usesHelper(h, "sip") && !isLimitSet(h) {
		small = small || limit >= 0 && limit <= smallExpectMaxSIP
	}
	if !small {
		return nil
	}
	f := finding.Finding{
		ID: "expect-max-small", Severity: finding.Warning,
		Summary:  fmt.Sprintf("expect_max is %d, the kernel's own small limit, and helpers are in use", limit),
		Evidence: append([]finding.Evidence{finding.Seen(expectMaxFile, 0, strconv.FormatInt(limit, 10))}, used...),
	}
	f.Fix, f.Note = raiseLimit(h)
	return []finding.Finding{f}
}

// isLimitSet reports whether anybody gives expect_max or expect_hashsize a value.
func isLimitSet(h *picture.Host) bool {
	if _, asked := h.Want("expect_max"); asked {
		return true
	}
	if _, asked := h.Parameter("expect_hashsize"); asked {
		return true
	}
	for _, a := range h.Inventory.Assignments {
		if a.NoEffect == "" && (a.Name == "expect_max" || a.Name == "expect_hashsize") {
			return true
		}
	}
	return false
}

// neededLimit is the limit that this host should have: the present use is
// under half of it, and where it overflowed it is twice what it was.
func neededLimit(h *picture.Host) int64 {
	needed := int64(enoughExpectations)
	if h.Figures.ExpectMax != nil {
		limit := *h.Figures.ExpectMax
		full := h.CountMessages(func(text string) string {
			if refusalMessage(text) == tableFullMessage {
				return tableFullMessage
			}
			return ""
		})
		for (len(full) > 0 || h.Figures.Expectations != nil && *h.Figures.Expectations >= limit) && needed <= limit && needed < mostExpectations {
			needed *= 2
		}
	}
	for h.Figures.Expectations != nil && *h.Figures.Expectations*2 >= needed && needed < mostExpectations {
		needed *= 2
	}
	return needed
}

// raiseLimit gives the commands that raise the limit now and for every load of
// the module to come.
func raiseLimit(h *picture.Host) (fix []string, note string) {
	if h.Env.ChildNetns {
		return nil, "expect_max belongs to the host's first network namespace: raise it there, on the host."
	}
	needed := neededLimit(h)
	w, asked := h.Want("expect_max")
	if n, ok := w.Value.Int(); asked && ok && n >= needed && !h.IsApplied("expect_max") {
		return []string{fixes.Enforce(h)}, fmt.Sprintf("The configuration asks for %d (%s), and that is not in force.", n, w.Origin)
	}
	settings := []fixes.Entry{{"expect_max", strconv.FormatInt(needed, 10)}}
	buckets := strconv.FormatInt(needed/perBucket, 10)
	if h.Module.State == kmod.BuiltIn {
		return fixes.Configure(h, "expectations", settings, nil), "The module is part of the kernel: its hash table for expectations is sized on the kernel's command line (nf_conntrack.expect_hashsize=" + buckets + "); without it the limit holds all the same, with longer hash chains."
	}
	return fixes.Configure(h, "expectations", settings, []fixes.Entry{{"expect_hashsize", buckets}}),
		"expect_max is in force at once; expect_hashsize, which makes it come up right with the module, at its next load."
}
