package kmod

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const procModulesText = `xt_conntrack 16384 2 - Live 0xffffffffc0a5c000
nft_ct 24576 0 [permanent], Live 0x0000000000000000
nf_nat 57344 3 xt_MASQUERADE,nft_chain_nat,[permanent], Live 0x0000000000000000
nf_conntrack 188416 7 xt_conntrack,nf_nat,nft_ct, Live 0x0000000000000000 (OE)
nf_tables 1 -1 - Unloading 0x0
coming 4096 1 - Loading 0x0
frozen 4096 - - Live 0x0
short 1 2
bad x 0 - Live 0x0
bad -1 0 - Live 0x0
bad 1 x - Live 0x0

`

func TestParseModules(t *testing.T) {
	want := []ProcModule{
		{Name: "xt_conntrack", Size: 16384, Uses: 2, State: "Live"},
		{Name: "nft_ct", Size: 24576, State: "Live"},
		{Name: "nf_nat", Size: 57344, Uses: 3, UsedBy: []string{"xt_MASQUERADE", "nft_chain_nat"}, State: "Live"},
		{Name: "nf_conntrack", Size: 188416, Uses: 7, UsedBy: []string{"xt_conntrack", "nf_nat", "nft_ct"},
			State: "Live"},
		{Name: "nf_tables", Size: 1, Uses: -1, State: "Unloading"},
		{Name: "coming", Size: 4096, Uses: 1, State: "Loading"},
		{Name: "frozen", Size: 4096, Uses: -1, State: "Live"},
	}
	if diff := cmp.Diff(want, ParseModules([]byte(procModulesText))); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

func TestReadModules(t *testing.T) {
	root := t.TempDir()
	const want = "open /proc/modules: no such file or directory"
	if _, err := ReadModules(tree.At(root)); text(err) != want {
		t.Errorf("error %q, want %q", text(err), want)
	}
	kerneltree.Put(t, root, "proc/modules", procModulesText)
	got, err := ReadModules(tree.At(root))
	if err != nil || len(got) != 7 {
		t.Errorf("%d modules, %v", len(got), err)
	}
}

func TestUsers(t *testing.T) {
	tests := []struct {
		name    string
		modules []ProcModule
		of      string
		want    []string
	}{
		{"none", []ProcModule{{Name: "a"}}, "a", nil},
		{"not listed", nil, "a", nil},
		{"chain", []ProcModule{
			{Name: "a", UsedBy: []string{"b"}}, {Name: "b", UsedBy: []string{"c"}}, {Name: "c"},
		}, "a", []string{"c", "b"}},
		// d uses b and c, so it is unloaded before both.
		{"diamond", []ProcModule{
			{Name: "a", UsedBy: []string{"b", "c", "d"}}, {Name: "b", UsedBy: []string{"d"}},
			{Name: "c", UsedBy: []string{"d"}}, {Name: "d"},
		}, "a", []string{"d", "b", "c"}},
		{"cycle", []ProcModule{
			{Name: "a", UsedBy: []string{"b", "a"}}, {Name: "b", UsedBy: []string{"a", "c"}}, {Name: "c",
				UsedBy: []string{"b"}},
		}, "a", []string{"c", "b"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, Users(test.modules, test.of)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func FuzzParseModules(f *testing.F) {
	f.Add([]byte(procModulesText))
	f.Add([]byte("a 1 1 b, Live 0\nb 1 1 a, Live 0\na 1 1 a,,-, Live 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		modules := ParseModules(text)
		for _, m := range modules {
			if m.Name == "" || m.Size < 0 {
				t.Errorf("module %+v", m)
			}
			users := Users(modules, m.Name)
			slices.Sort(users)
			if slices.Contains(users, m.Name) || len(slices.Compact(users)) != len(users) {
				t.Errorf("users of %s: %q", m.Name, users)
			}
		}
	})
}
