package firewall

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// maxRules is how long a file of rules may be, in bytes, maxConf a file of
	// settings.
	maxRules = 16 << 20
	maxConf  = 1 << 20
	// maxTroubles is how many bad lines of one source are told: a file that is no
	// file of rules has nothing else.
	maxTroubles = 10
)

// Helper is a rule that attaches a conntrack helper.
type HelperRule struct {
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
	Helpers []HelperRule
	// Needs are the modules that live rules and files ask for: nf_conntrack users such
	// as xt_conntrack, xt_state, nft_ct, with the first place that asks. Rules that
	// translate addresses ask for nf_nat, whatever their tool.
	Modules map[string]tree.Place
	// Read are the sources that were read: files, "iptables-legacy-save -t raw",
	// "nft -j list ruleset".
	Sources []string
	// NotRead says, for each live source that was left out, why. A source is not left
	// out where the kernel has no such tables.
	Skipped  map[string]string
	Troubles []tree.Trouble
}

// Read reads the host's rules: the files of iptables, ufw, nftables, Shorewall and
// firewalld, and on the running system the kernel's rules. There each program has
// 5 s. ufw's and Shorewall's files count only where these are set to start.
func Read(ctx context.Context, t tree.Tree) Rules {
	var r Rules
	readIptablesFiles(t, &r)
	readNftFiles(t, &r)
	readShorewall(t, &r)
	readFirewalld(t, &r)
	if t.Live() {
		readLive(ctx, t, &r)
	}
	return r
}

// need notes that a module is asked for.
func (r *Rules) need(module string, place tree.Place) {
	if module == "" {
		return
	}
	if r.Modules == nil {
		r.Modules = map[string]tree.Place{}
	}
	if _, known := r.Modules[module]; !known {
		r.Modules[module] = place
	}
}

// leaveOut notes why a live source is not read.
func (r *Rules) leaveOut(source, why string) {
	if r.Skipped == nil {
		r.Skipped = map[string]string{}
	}
	r.Skipped[source] = why
}

// trouble notes what is wrong with a place.
func (r *Rules) trouble(place tree.Place, err error) {
	r.Troubles = append(r.Troubles, tree.Trouble{Place: place, Err: err})
}

// add puts the rules of another source behind those that are there.
func (r *Rules) add(other Rules) {
	r.Helpers = append(r.Helpers, other.Helpers...)
	for module, place := range other.Modules {
		r.need(module, place)
	}
	r.Sources = append(r.Sources, other.Sources...)
	for source, why := range other.Skipped {
		r.leaveOut(source, why)
	}
	r.Troubles = append(r.Troubles, other.Troubles[:min(len(other.Troubles), maxTroubles)]...)
}

// file reads a file of rules. It is not ok for one that is not there, or cannot be
// read: that is a trouble.
func (r *Rules) file(t tree.Tree, path string, limit int64) (text []byte, ok bool) {
	text, err := t.Read(path, limit)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.trouble(tree.Place{File: path}, err)
		}
		return nil, false
	}
	r.Sources = append(r.Sources, path)
	return text, true
}
