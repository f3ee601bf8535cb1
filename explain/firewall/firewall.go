package firewall

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// maxRules and maxConf limit the size of a file of rules and of a configuration file, in bytes.
	maxRules = 16 << 20
	maxConf  = 1 << 20
	// maxTroubles limits the bad lines that are reported for one source: in a file that holds no
	// rules every line is bad.
	maxTroubles = 10
)

// HelperRule is a rule that attaches a conntrack helper to flows.
type HelperRule struct {
	tree.Place
	// Name is the helper's: sip, ftp, …
	Name string
	// Rule is the rule in the language of its tool.
	Rule string
	// Live is true if the kernel has the rule, false if it was only found in a file.
	Live bool
}

// Rules is what the firewall needs from the connection tracker.
type Rules struct {
	Helpers []HelperRule
	// Modules maps each conntrack module that a rule needs (xt_conntrack, xt_state, nft_ct, …) to
	// the first rule that needs it. Rules that translate addresses need nf_nat, whatever their tool.
	Modules map[string]tree.Place
	// NftTables maps each table of nf_tables in the kernel that uses the connection tracker, such as
	// "inet filter", to a module that it needs.
	NftTables map[string]string
	// Sources are the files and commands that were read: "iptables-legacy-save -t raw",
	// "nft -j list ruleset", …
	Sources []string
	// Skipped maps each command that could not be read to the reason. A command is not listed if
	// the kernel has no tables of its kind.
	Skipped  map[string]string
	Troubles []tree.Trouble
}

// Read reads the host's rules: the files of iptables, ufw, nftables, Shorewall and firewalld,
// and on the running system the kernel's rules. Each command may take 5 s. The files of ufw and
// Shorewall are read only if these are configured to start.
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

// addModule adds a module that the rule at place needs.
func (r *Rules) addModule(module string, place tree.Place) {
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

// skip adds a command that could not be read.
func (r *Rules) skip(source, reason string) {
	if r.Skipped == nil {
		r.Skipped = map[string]string{}
	}
	r.Skipped[source] = reason
}

// addTrouble adds an error in a file.
func (r *Rules) addTrouble(place tree.Place, err error) {
	r.Troubles = append(r.Troubles, tree.Trouble{Place: place, Err: err})
}

// merge appends the rules of another source.
func (r *Rules) merge(other Rules) {
	r.Helpers = append(r.Helpers, other.Helpers...)
	for module, place := range other.Modules {
		r.addModule(module, place)
	}
	if len(other.NftTables) > 0 {
		r.NftTables = other.NftTables
	}
	r.Sources = append(r.Sources, other.Sources...)
	for source, reason := range other.Skipped {
		r.skip(source, reason)
	}
	r.Troubles = append(r.Troubles, other.Troubles[:min(len(other.Troubles), maxTroubles)]...)
}

// readFile reads a file of rules and adds it to the sources. ok is false if it does not exist or
// cannot be read; the latter is a trouble.
func (r *Rules) readFile(t tree.Tree, path string, limit int64) (text []byte, ok bool) {
	text, err := t.Read(path, limit)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.addTrouble(tree.Place{File: path}, err)
		}
		return nil, false
	}
	r.Sources = append(r.Sources, path)
	return text, true
}
