package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/render"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// TestRender: the snippet is of the merged configuration below --root, or of --config; notes are comments, and go to
// standard error where the format has none.
func TestRender(t *testing.T) {
	root := host(t, "settings: {max: 524288, udp_timeout: 30s}\n")
	kerneltree.Put(t, root, "/etc/ctkeeper/conf.d/60-more.yaml",
		"settings: {max: 262144, tcp_timeout_close_wait: 1h}\n")
	from := "# Printed by ctkeeper render talos, from /etc/ctkeeper/ctkeeper.yaml, /etc/ctkeeper/conf.d/60-more.yaml.\n"
	ctkeeper(t.Context(), "--root", root, "render", "talos").wants(t, 0, []string{from, `nf_conntrack_max: "262144"`,
		`nf_conntrack_udp_timeout: "30"`, `nf_conntrack_tcp_timeout_close_wait: "3600"`}, nil)
	got := ctkeeper(t.Context(), "--root", root, "render", "cni-tuning")
	got.wants(t, 0, []string{`"net.netfilter.nf_conntrack_udp_timeout": "30"`},
		[]string{"#   max: one value for the whole"})
	if !json.Valid([]byte(got.stdout)) {
		t.Errorf("not JSON: %s", got.stdout)
	}
	kerneltree.Put(t, root, "/draft.yaml", "settings: {max: 65536}\n")
	ctkeeper(t.Context(), "--root", root, "--config", "/draft.yaml", "render", "kube-proxy", "--agree").
		wants(t, 0, []string{"min: 65536\n"}, nil)
	kerneltree.Put(t, root, "/draft.yaml", "settings: {max: x}\n")
	ctkeeper(t.Context(), "--root", root, "--config", "/draft.yaml", "render", "nixos").
		wants(t, exitConfig, nil, []string{"settings.max"})
}

// TestRenderDocument: the document has the same snippet, without its comments, and lists that are never null.
func TestRenderDocument(t *testing.T) {
	root := host(t, "settings: {max: 524288, udp_timeout: 30s}\n")
	for _, target := range render.Targets() {
		table := ctkeeper(t.Context(), "--root", root, "render", target).stdout
		out := ctkeeper(t.Context(), "--root", root, "render", target, "-o", "json").stdout
		var doc text.RenderView
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Target != target || doc.Snippet == "" || !strings.HasSuffix(table, doc.Snippet) || len(doc.Notes) == 0 {
			t.Errorf("%s: %s\n%s", target, out, table)
		}
		if strings.Contains(out, "null") || !strings.Contains(out, `"api": 1`) {
			t.Errorf("%s: %s", target, out)
		}
	}
}
