package firewall

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

func TestFirewalld(t *testing.T) {
	const zone = "/etc/firewalld/zones/public.xml"
	root := t.TempDir()
	kerneltree.Unpack(t, root, "testdata/firewalld.txtar")
	_, broken := parseXML([]byte("<service><helper name=\"irc\"/>\n<\n"))
	const direct = "/etc/firewalld/direct.xml"
	equal(t, Rules{
		Helpers: []HelperRule{
			{Place: at(zone, 5), Name: "sip", Rule: `<service name="sip"/>`},
			{Place: at(zone, 6), Name: "sip", Rule: `<service name="mine"/>`},
			{Place: at(zone, 6), Name: "netbios-ns", Rule: `<service name="mine"/>`},
			{Place: at(zone, 10), Name: "ftp", Rule: `<service name="old-ftp"/>`},
			{Place: at(direct, 2), Name: "sip", Rule: "-p udp --dport 5070 -j CT --helper sip"},
		},
		Modules: map[string]tree.Place{"xt_CT": at(direct, 2)},
		Sources: []string{zone, "/etc/firewalld/policies/out.xml", direct},
		Troubles: []tree.Trouble{
			trouble(at("/etc/firewalld/services/broken.xml", 0), broken),
			trouble(at(direct, 3), errQuote),
		},
	}, Read(t.Context(), tree.At(root)))
	const want = "cannot read the XML: XML syntax error on line 2: expected element name after <"
	if broken.Error() != want {
		t.Errorf("want %q, got %q", want, broken)
	}
}

func FuzzParseXML(f *testing.F) {
	f.Add([]byte("<zone>\n<service name=\"sip\"/><rule>-j CT</rule></zone>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		elements, _ := parseXML(text)
		for _, e := range elements {
			if e.line < 1 || e.name == "" {
				t.Errorf("element %+v", e)
			}
		}
	})
}
