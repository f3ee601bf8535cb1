package firewall

import (
	"context"

	"github.com/ctkeeper/ctkeeper/tree"
)

// Helper is a rule that attaches a conntrack helper.
type Helper struct {
	tree.Place
	// Name is sip, ftp, …
	Name string
	// Rule is the rule as its tool writes it.
	Rule string
	// Live is true for a rule in the kernel, false for one in a file.
	Live bool
}

// Rules is what the firewall asks of the connection tracker.
type Rules struct {
	Helpers []Helper
	// Needs are the modules that live rules and files ask for: nf_conntrack users such
	// as xt_conntrack, xt_state, nft_ct, with the first place that asks.
	Needs map[string]tree.Place
	// Read are the sources that were read: files, "iptables-save", "nft -j list ruleset".
	Read []string
	// NotRead says, for each live source that was left out, why.
	NotRead  map[string]string
	Troubles []tree.Trouble
}

// Read reads the host's rules. On the running system each program has 5 s.
func Read(ctx context.Context, t tree.Tree) Rules { return Rules{} }

// ParseIptablesSave reads iptables-save(8) text: files and live output alike.
func ParseIptablesSave(source string, text []byte) Rules { return Rules{} }

// ParseNftJSON reads libnftables-json(5), the output of nft -j list ruleset.
func ParseNftJSON(source string, text []byte) (Rules, error) { return Rules{}, nil }
