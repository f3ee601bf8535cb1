package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	expectMaxFile = "/proc/sys/net/netfilter/nf_conntrack_expect_max"

	// perBucket is what the kernel makes expect_max of: 4 times expect_hashsize
	// (nf_conntrack_expect_init).
	perBucket = 4
	// enoughExpectations is what a host gets whose helpers need room: 3 MiB when full.
	enoughExpectations = 8192
	// mostExpectations keeps a suggestion within reason.
	mostExpectations = 1 << 22
	// smallExpectMax is the kernel's own value on small and on old hosts: 16384
	// buckets / 64. With SIP, which announces up to four expectations a call, even
	// that of 65536 buckets is soon used up.
	smallExpectMax    = 256
	smallExpectMaxSIP = 1024

	fullShare    = 95 // percent
	fillingShare = 80
)

func expectationChecks() []check {
	return []check{together(expectationTable, expectationDrops, expectMaxSmall), helperAutomatic, helperModuleMissing, helperWithoutRule, helpersListed}
}

// expectationTable holds the number of expectations against its limit.
func expectationTable(h *Host) []Finding {
	if h.Figures.Expectations == nil || h.Figures.ExpectMax == nil || *h.Figures.ExpectMax < 0 {
		return nil
	}
	used, limit := *h.Figures.Expectations, *h.Figures.ExpectMax
	f := Finding{
		ID: "expectation-table-full", Severity: Error,
		Summary: fmt.Sprintf("the expectation table is full: %d of %d", used, limit),
	}
	switch {
	case used >= limit:
	case used*100 >= limit*fillingShare:
		f.ID, f.Severity = "expectation-table-filling", Warning
		f.Summary = fmt.Sprintf("the expectation table is %d %% full: %d of %d", used*100/limit, used, limit)
	default:
		return nil
	}
	f.Evidence = append(f.Evidence, seen(expectations, 0, fmt.Sprintf("%d expectations", used)), seen(expectMaxFile, 0, strconv.FormatInt(limit, 10)))
	f.Evidence = append(f.Evidence, h.expectationsByHelper()...)
	f.Evidence = append(f.Evidence, h.helpersUsed()...)
	f.Fix, f.Note = h.raiseExpectMax()
	return []Finding{f}
}

// expectationDrops finds in the kernel's log that helpers were refused expectations.
func expectationDrops(h *Host) []Finding {
	all := h.tallies(refusedExpectation)
	if len(all) == 0 {
		return nil
	}
	f := Finding{ID: "expectation-drops", Severity: Warning, Summary: "helpers were refused expectations: calls and transfers through this host fail"}
	for _, t := range all {
		f.Evidence = append(f.Evidence, t.evidence())
		if t.what == tableOfExpectationsFull {
			f.Severity = Error
			f.Summary = "the expectation table was full: calls and transfers through this host fail"
		}
	}
	if h.Figures.ExpectMax != nil {
		f.Evidence = append(f.Evidence, seen(expectMaxFile, 0, strconv.FormatInt(*h.Figures.ExpectMax, 10)))
	}
	f.Evidence = append(f.Evidence, h.helpersUsed()...)
	if h.settled("expect_max") && !h.sinceConfigured(all) {
		f.Severity, f.Note = Info, "The configuration was changed since the last of these messages, and what it asks for is in force."
		return []Finding{f}
	}
	f.Fix, f.Note = h.raiseExpectMax()
	if f.Severity == Warning {
		f.Note = "One connection may also have reached its helper's own limit, or a range of NAT ports is used up. " + f.Note
	}
	return []Finding{f}
}

const tableOfExpectationsFull = "nf_conntrack: expectation table full"

// refusedExpectation names a message of the kernel's log that tells of an
// expectation that could not be made, without the packet that follows: of
// __nf_ct_expect_check, and of nf_ct_helper_log in its old form and the new one.
func refusedExpectation(text string) string {
	if klog.ExpectationTableFull(text) {
		return tableOfExpectationsFull
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

// expectMaxSmall finds the kernel's own small limit on a host that uses helpers.
func expectMaxSmall(h *Host) []Finding {
	used := h.helpersUsed()
	if h.Figures.ExpectMax == nil || len(used) == 0 {
		return nil
	}
	limit := *h.Figures.ExpectMax
	small := limit >= 0 && limit <= smallExpectMax
	if h.usesHelper("sip") && !h.expectMaxGiven() {
		small = small || limit >= 0 && limit <= smallExpectMaxSIP
	}
	if !small {
		return nil
	}
	f := Finding{
		ID: "expect-max-small", Severity: Warning,
		Summary:  fmt.Sprintf("expect_max is %d, the kernel's own small limit, and helpers are in use", limit),
		Evidence: append([]Evidence{seen(expectMaxFile, 0, strconv.FormatInt(limit, 10))}, used...),
	}
	f.Fix, f.Note = h.raiseExpectMax()
	return []Finding{f}
}

// expectMaxGiven reports whether anybody gives expect_max or expect_hashsize a value.
func (h *Host) expectMaxGiven() bool {
	if _, asked := h.want("expect_max"); asked {
		return true
	}
	if _, asked := h.parameter("expect_hashsize"); asked {
		return true
	}
	for _, a := range h.Inventory.Assignments {
		if a.NoEffect == "" && (a.Name == "expect_max" || a.Name == "expect_hashsize") {
			return true
		}
	}
	return false
}

// neededExpectations is the limit that this host should have: the present use is
// under half of it, and where it overflowed it is twice what it was.
func (h *Host) neededExpectations() int64 {
	needed := int64(enoughExpectations)
	if h.Figures.ExpectMax != nil {
		limit := *h.Figures.ExpectMax
		full := h.tallies(func(text string) string {
			if refusedExpectation(text) == tableOfExpectationsFull {
				return tableOfExpectationsFull
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

// raiseExpectMax gives the commands that raise the limit now and for every load of
// the module to come.
func (h *Host) raiseExpectMax() (fix []string, note string) {
	if h.Place.ChildNetns {
		return nil, "expect_max belongs to the host's first network namespace: raise it there, on the host."
	}
	needed := h.neededExpectations()
	w, asked := h.want("expect_max")
	if n, err := strconv.ParseInt(w.Value, 10, 64); asked && err == nil && n >= needed && !h.settled("expect_max") {
		return []string{h.enforce()}, fmt.Sprintf("The configuration asks for %d (%s), and that is not in force.", n, w.Origin)
	}
	settings := []entry{{"expect_max", strconv.FormatInt(needed, 10)}}
	buckets := strconv.FormatInt(needed/perBucket, 10)
	if h.Module.State == kmod.BuiltIn {
		return h.configure("expectations", settings, nil), "The module is part of the kernel: its hash table for expectations is sized on the kernel's command line (nf_conntrack.expect_hashsize=" + buckets + "); without it the limit holds all the same, with longer hash chains."
	}
	return h.configure("expectations", settings, []entry{{"expect_hashsize", buckets}}),
		"expect_max is in force at once; expect_hashsize, which makes it come up right with the module, at its next load."
}
