package kmod

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// newIndex returns a tree and the index of its one release.
func newIndex(t *testing.T) (tree.Tree, Index) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"modules.dep": "kernel/a/nf_conntrack.ko:\nkernel/a/nft_ct.ko: kernel/a/nf_conntrack.ko\n" +
			"kernel/a/own.ko:\nkernel/a/ring.ko:\nkernel/a/other.ko:\n",
		"modules.alias": "alias pci:v1d* other\nalias ip_conntrack nf_conntrack\n" +
			"alias nf_conntrack-2* nf_conntrack\n",
		"modules.softdep": "softdep own post: nft_ct\nsoftdep ring pre: ring\n",
		"modules.builtin": "kernel/a/part.ko\n",
	} {
		kerneltree.Put(t, root, "lib/modules/6.1/"+name, text)
	}
	x, err := ReadIndex(tree.At(root), "6.1")
	if err != nil {
		t.Fatal(err)
	}
	return tree.At(root), x
}

func TestAliases(t *testing.T) {
	at, x := newIndex(t)
	m := Modprobe{Directives: []Directive{
		{Kind: "alias", Args: "mine", Module: "own"}, {Kind: "alias", Args: "nft_ct", Module: "other"},
		{Kind: "blacklist", Module: "own"},
	}}
	for name, want := range map[string][]string{
		"ip-conntrack": {"nf_conntrack"}, "nf_conntrack-2": {"nf_conntrack"}, "mine": {"own"}, "nft_ct": {"other"},
		"nf_conntrack": nil, "nf_conntrack_ipv4": nil, "pci:v1d2": nil,
	} {
		if diff := cmp.Diff(want, x.Aliases(at, m, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLoads(t *testing.T) {
	_, x := newIndex(t)
	m := Modprobe{Directives: []Directive{{Kind: "softdep", Module: "other", Args: "pre: nf-conntrack"}}}
	for name, want := range map[string]bool{
		"nf_conntrack": true, "nft-ct": true, "own": true, "other": true, "ring": false, "part": false, "none": false,
	} {
		if got := x.Loads(m, name, Conntrack); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
