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
	errNoLegacySave = errors.New("no iptables-save for legacy tables is installed")
	errNoNftSave    = errors.New("no iptables-save for nf_tables is installed")
)

// readLive reads the rules in the kernel, of the tables that it already has: reading another one
// would load it.
func readLive(ctx context.Context, t tree.Tree, r *Rules) {
	readLegacy(ctx, t, r, "iptables", "/proc/net/ip_tables_names")
	readLegacy(ctx, t, r, "ip6tables", "/proc/net/ip6_tables_names")
	loaded, err := hasNftables(t)
	switch {
	case err != nil:
		r.skip(nftSource, fmt.Sprintf("cannot find out whether the kernel has %s: %v", nftTables, err))
	case loaded:
		readNft(ctx, r)
	}
}

// readLegacy reads the legacy tables of one family. The file names lists them; it is empty or
// absent if nobody uses any. Reading another table would create it, even if its code is in the
// kernel already.
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
		r.skip(source, err.Error())
		return
	}
	for _, table := range strings.Fields(string(tables)) {
		// Without -M, libxtables runs modprobe ip_tables before it asks for revisions.
		readSave(ctx, r, program, "-M", "/bin/true", "-t", table)
	}
}

// readSave reads the output of an iptables-save.
func readSave(ctx context.Context, r *Rules, program string, args ...string) {
	source := filepath.Base(program) + " " + strings.Join(args[len(args)-2:], " ")
	text, err := run(ctx, program, args...)
	if err != nil {
		r.skip(source, err.Error())
		return
	}
	saved := ParseIptablesSave(source, text)
	saved.Sources = []string{source}
	r.mergeLive(saved)
}

// readNft reads the tables of nf_tables. nft does not show the helper of a CT target that
// iptables-nft(8) put there, so in that case iptables-nft-save is run as well. The modules that
// it asks the kernel for are those that it needed to add the target.
func readNft(ctx context.Context, r *Rules) {
	program, err := findProgram("nft")
	var text []byte
	if err == nil {
		text, err = run(ctx, program, "-j", "list", "ruleset")
	}
	var ruleset nftRuleset
	if err == nil {
		ruleset, err = parseNftJSON(nftSource, text)
	}
	if err != nil {
		r.skip(nftSource, err.Error())
		return
	}
	ruleset.Sources = []string{nftSource}
	r.mergeLive(ruleset.Rules)
	tools := map[string]string{"ip": "iptables", "ip6": "ip6tables"}
	for _, family := range slices.Sorted(maps.Keys(tools)) {
		if !ruleset.opaque[family] {
			continue
		}
		if program, err := findSave(tools[family], "-nft-save", true); err != nil {
			r.skip(tools[family]+"-nft-save -t raw", err.Error())
		} else {
			readSave(ctx, r, program, "-M", "/bin/true", "-t", "raw")
		}
	}
}

// mergeLive appends rules that the kernel has.
func (r *Rules) mergeLive(other Rules) {
	for i := range other.Helpers {
		other.Helpers[i].Live = true
	}
	r.merge(other)
}

// findSave looks for the iptables-save of one kind: first by its own name, then by the name that
// both kinds share, which is a link to one of them. If it is no link, it is of a version before
// nf_tables.
func findSave(tool, suffix string, nft bool) (string, error) {
	if program, err := findProgram(tool + suffix); err == nil {
		return program, nil
	}
	missing := errNoLegacySave
	if nft {
		missing = errNoNftSave
	}
	program, err := findProgram(tool + "-save")
	if err != nil {
		return "", missing
	}
	end, err := filepath.EvalSymlinks(program)
	if err != nil || strings.Contains(filepath.Base(end), "nft") != nft {
		return "", missing
	}
	return program, nil
}

// hasNftables reports whether nf_tables is loaded or built in. A built-in module without
// parameters, such as this one, has no directory in sysfs.
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
