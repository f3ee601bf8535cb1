package firewall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	nftTables = "nf_tables"
	nftSource = "nft -j list ruleset"
)

var (
	errNoLegacy = errors.New("no iptables-save for legacy tables is installed")
	errNoNft    = errors.New("no iptables-save for nf_tables is installed")
)

// readLive reads the rules in the kernel, where it has tables already: asking for
// others would load them.
func readLive(ctx context.Context, t tree.Tree, r *Rules) {
	readLegacy(ctx, t, r, "iptables", "/proc/net/ip_tables_names")
	readLegacy(ctx, t, r, "ip6tables", "/proc/net/ip6_tables_names")
	there, err := hasNftables(t)
	switch {
	case err != nil:
		r.leaveOut(nftSource, fmt.Sprintf("cannot tell whether the kernel has %s: %v", nftTables, err))
	case there:
		readNft(ctx, r)
	}
}

// readLegacy reads the legacy tables of one family, those that names lists: it is
// empty or absent where nobody uses them. Asking for another table makes it, even
// where its code is in the kernel already.
func readLegacy(ctx context.Context, t tree.Tree, r *Rules, tool, names string) {
	source := tool + "-legacy-save"
	tables, err := t.Read(names, maxConf)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(strings.Fields(string(tables))) == 0 {
		return
	}
	program := ""
	if err == nil {
		program, err = findSave(tool, "-legacy-save", false)
	}
	if err != nil {
		r.leaveOut(source, err.Error())
		return
	}
	for _, table := range strings.Fields(string(tables)) {
		// libxtables would run modprobe ip_tables before it asks for revisions.
		readSave(ctx, r, program, "-M", "/bin/true", "-t", table)
	}
}

// readSave reads what an iptables-save prints.
func readSave(ctx context.Context, r *Rules, program string, args ...string) {
	source := filepath.Base(program) + " " + strings.Join(args[len(args)-2:], " ")
	text, err := run(ctx, program, args...)
	if err != nil {
		r.leaveOut(source, err.Error())
		return
	}
	saved := ParseIptablesSave(source, text)
	saved.Sources = []string{source}
	r.add(saved.live())
}

// readNft reads the tables of nf_tables. Where iptables-nft(8) has put a CT target
// into them, whose helper nft does not show, it is asked too; the modules that it
// asks the kernel about are those that it needed to put it there.
func readNft(ctx context.Context, r *Rules) {
	program, err := find("nft")
	var text []byte
	if err == nil {
		text, err = run(ctx, program, "-j", "list", "ruleset")
	}
	var ruleset nftRuleset
	if err == nil {
		ruleset, err = parseNftJSON(nftSource, text)
	}
	if err != nil {
		r.leaveOut(nftSource, err.Error())
		return
	}
	ruleset.Sources = []string{nftSource}
	r.add(ruleset.live())
	tools := map[string]string{"ip": "iptables", "ip6": "ip6tables"}
	for _, family := range slices.Sorted(maps.Keys(tools)) {
		if !ruleset.opaque[family] {
			continue
		}
		if program, err := findSave(tools[family], "-nft-save", true); err != nil {
			r.leaveOut(tools[family]+"-nft-save -t raw", err.Error())
		} else {
			readSave(ctx, r, program, "-M", "/bin/true", "-t", "raw")
		}
	}
}

// live marks rules as the kernel's.
func (r Rules) live() Rules {
	for i := range r.Helpers {
		r.Helpers[i].Live = true
	}
	return r
}

// findSave looks for an iptables-save of one kind: under the name that is its
// alone, else under the name that both share and that is a link to either. One
// without a link is from before there were two.
func findSave(tool, suffix string, nft bool) (string, error) {
	if program, err := find(tool + suffix); err == nil {
		return program, nil
	}
	missing := errNoLegacy
	if nft {
		missing = errNoNft
	}
	program, err := find(tool + "-save")
	if err != nil {
		return "", missing
	}
	end, err := filepath.EvalSymlinks(program)
	if err != nil || strings.Contains(filepath.Base(end), "nft") != nft {
		return "", missing
	}
	return program, nil
}

// hasNftables reports whether nf_tables is in the kernel already. In the kernel's
// image it has no directory in sysfs, having no parameters.
func hasNftables(t tree.Tree) (bool, error) {
	if t.Exists("/sys/module/" + nftTables) {
		return true, nil
	}
	release, err := kmod.Release(t)
	if err != nil {
		return false, err
	}
	index, err := kmod.ReadIndex(t, release)
	return index.BuiltIn[nftTables], err
}
