package firewall

import (
	_ "embed"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// ruleset is the output of nft 1.0.6 for a native table, and for tables of iptables-nft.
//
//go:embed testdata/ruleset.json
var ruleset string

func TestParseNftJSON(t *testing.T) {
	place := tree.Place{File: "nft"}
	got, err := parseNftJSON("nft", []byte(ruleset))
	if err != nil {
		t.Fatal(err)
	}
	const inline = `{"map":{"data":{"set":[[69,"my-tftp"],[5060,"sip-5060"]]},` +
		`"key":{"payload":{"field":"dport","protocol":"udp"}}}}`
	const named = `{"map":{"data":"@m","key":{"payload":{"field":"dport","protocol":"tcp"}}}}`
	equal(t, Rules{
		Helpers: []HelperRule{
			{Place: place, Name: "sip", Rule: `add rule inet f pre ct helper set "sip-5060"`},
			{Place: place, Name: "tftp", Rule: "add rule inet f pre ct helper set " + inline},
			{Place: place, Name: "sip", Rule: "add rule inet f pre ct helper set " + inline},
			{Place: place, Name: "irc", Rule: "add rule inet f pre ct helper set " + named},
		},
		Modules: map[string]tree.Place{
			"nft_ct": place, "nft_connlimit": place, "nft_flow_offload": place, "nf_nat": place,
			"xt_conntrack": place, "xt_CT": place,
		},
		NftTables: map[string]string{"inet f": "nf_nat", "ip filter": "xt_conntrack", "ip raw": "xt_CT"},
	}, got.Rules)
	if diff := cmp.Diff(map[string]bool{"ip": true}, got.opaque); diff != "" {
		t.Errorf("families with helpers that nft does not show (-want +got):\n%s", diff)
	}
}

func TestParseNftJSONBefore106(t *testing.T) {
	// nft before 1.0.6 has no JSON for statements of iptables-nft.
	for _, statement := range []string{`"# CT helper sip"`, `null`, `{"xt": null}`} {
		got, err := parseNftJSON("nft", []byte(`{"nftables": [
			{"rule": {"family": "ip6", "table": "raw", "chain": "PREROUTING", "expr": [`+statement+`]}},
			{"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "expr": [`+statement+`]}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]bool{"ip6": true}, got.opaque); diff != "" {
			t.Errorf("%s: families (-want +got):\n%s", statement, diff)
		}
	}
}

func TestParseNftJSONWithoutObjects(t *testing.T) {
	// nft -j list chain shows no objects.
	got, err := ParseNftJSON("nft", []byte(`{"nftables": [
		{"rule": {"family": "ip", "table": "f", "chain": "c", "expr": [{"ct helper": "ftp-standard"}]}},
		{"chain": {"family": "ip6", "table": "n", "name": "post", "type": "nat"}}, {"rule": {"family": 5}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	place := tree.Place{File: "nft"}
	if len(got.Troubles) != 1 || got.Troubles[0].Place != place {
		t.Errorf("troubles: %v", got.Troubles)
	}
	got.Troubles = nil
	equal(t, Rules{
		Helpers: []HelperRule{
			{Place: place, Name: "ftp-standard", Rule: `add rule ip f c ct helper set "ftp-standard"`},
		},
		Modules:   map[string]tree.Place{"nft_ct": place},
		NftTables: map[string]string{"ip f": "nft_ct", "ip6 n": "nft_chain_nat"},
	}, got)
}

func TestParseNftJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "cannot read the ruleset: unexpected end of JSON input",
		`{"nftables": [`:   "cannot read the ruleset: unexpected end of JSON input",
		"table ip filter{": "cannot read the ruleset: invalid character 'a' in literal true (expecting 'r')",
	} {
		if _, err := ParseNftJSON("nft", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
}

const nftConf = `#!/usr/sbin/nft -f
flush ruleset
include "nftables.d/*.nft"
include "/etc/nft/sip.nft"	# the telephones
define port = 5060

table inet f {
	ct helper my-tftp { type "tftp" protocol udp; }
	ct helper my-irc {
		type "irc" protocol tcp
		l3proto ip
	}
	ct helper unused { type "ftp" protocol tcp; }
	map m {
		type inet_service : ct helper
		elements = { 6667 : "my-irc",
			     6668 : "my-irc" }
	}
	set names { typeof ct helper; elements = { "snmp" }; }
	chain ct {
		type nat hook prerouting priority 0; policy accept;
		# ct helper set "unused"
		ct helper "ftp" log prefix "ct helper set unused" accept
		udp dport $port ct helper set "sip-5060"
		udp dport 69\
			ct helper set "my-tftp" counter; ct state new accept
		ct helper set tcp dport map @m
		ct helper set tcp dport map { 69 : "my-tftp", 6667 : "my-irc" } accept
		ct status snat jump masquerade
		ct count over 20 drop
		oif eth0 masquerade
	}
}
`

func TestReadNftFiles(t *testing.T) {
	root := t.TempDir()
	put(t, root, "etc/nftables.conf", nftConf)
	put(t, root, "etc/nft/sip.nft", "add ct helper inet f sip-5060 { type \"sip\" protocol udp; }\n")
	put(t, root, "etc/nftables.d/1.nft",
		"include \"/etc/nftables.conf\"\ninclude \"/etc/*/x.nft\"\ninclude \"/gone.nft\"\n")
	put(t, root, "etc/nftables.d/2.nft", "add rule ip g c notrack\nadd rule ip g c flow add @ft\n")
	put(t, root, "etc/nftables.d/.3.nft", "add rule inet f ct ct helper set \"unused\"\n")
	put(t, root, "etc/nftables.d/README", "ct helper set \"unused\"\n")
	put(t, root, "etc/nftables/nat.nft", "table ip nat { chain c { ct helper set \"unused\"; } }\n")
	const file = "/etc/nftables.conf"
	const inline = `ct helper set tcp dport map { 69 : "my-tftp", 6667 : "my-irc" } accept`
	_, gone := tree.At(root).Stat("/gone.nft")
	equal(t, Rules{
		Helpers: []HelperRule{
			{Place: at(file, 24), Name: "sip", Rule: `udp dport $port ct helper set "sip-5060"`},
			{Place: at(file, 26), Name: "tftp", Rule: `ct helper set "my-tftp" counter; ct state new accept`},
			{Place: at(file, 28), Name: "tftp", Rule: inline},
			{Place: at(file, 28), Name: "irc", Rule: inline},
		},
		Modules: map[string]tree.Place{
			"nft_ct": at(file, 8), "nft_connlimit": at(file, 30), "nf_nat": at(file, 31),
			"nft_flow_offload": at("/etc/nftables.d/2.nft", 2),
		},
		Sources: []string{file, "/etc/nftables.d/1.nft", "/etc/nftables.d/2.nft", "/etc/nft/sip.nft"},
		Troubles: []tree.Trouble{
			trouble(at("/etc/nftables.d/1.nft", 2), errIncludeGlob),
			trouble(at("/etc/nftables.d/1.nft", 3), gone),
		},
	}, Read(t.Context(), tree.At(root)))
	if want := "cannot follow an include with a pattern in its directory"; errIncludeGlob.Error() != want {
		t.Errorf("want %q, got %q", want, errIncludeGlob)
	}
}

func TestReadManyNftFiles(t *testing.T) {
	root := t.TempDir()
	put(t, root, "etc/nftables.conf", "include \"/etc/nft/*\"\n")
	for i := range 26 * 26 {
		put(t, root, "etc/nft/"+string(rune('a'+i/26))+string(rune('a'+i%26)), "\n")
	}
	got := Read(t.Context(), tree.At(root))
	if len(got.Troubles) != 1 || got.Troubles[0].Error() != "/etc/nft/js: more than 256 files are included" {
		t.Errorf("%d files read, %v", len(got.Sources), got.Troubles)
	}
}

func FuzzParseNftJSON(f *testing.F) {
	f.Add([]byte(ruleset))
	f.Add([]byte(`{"nftables": [{"rule": {"table": "raw", "expr": [null, "x", {"xt": null},
		{"ct helper": {"map": {"data": "@"}}}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseNftJSON("nft", text)
		if err != nil && (r.Helpers != nil || r.Modules != nil) {
			t.Errorf("rules with the error %v", err)
		}
		if len(r.Helpers) > 0 && r.Modules["nft_ct"].File != "nft" {
			t.Errorf("helpers without nft_ct: %+v", r.Helpers)
		}
	})
}

func FuzzSearchNft(f *testing.F) {
	f.Add([]byte(nftConf))
	f.Add([]byte("ct helper set map\nct helper {\nct helper x { type"))
	f.Add([]byte("map m {\n}\nct helper set x map @m \\ \n\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, helper := range searchNft(parseNftLines("x", text)).Helpers {
			if helper.Line < 1 || helper.Rule == "" || helper.Name == "" {
				t.Errorf("helper %+v", helper)
			}
		}
	})
}
