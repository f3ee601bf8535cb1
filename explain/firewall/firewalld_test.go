package firewall

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

func TestFirewalld(t *testing.T) {
	const zone = "/etc/firewalld/zones/public.xml"
	root := t.TempDir()
	put(t, root, zone, `<?xml version="1.0" encoding="utf-8"?>
<zone>
  <short>Public</short>
  <service name="ssh"/>
  <service name="sip"/>
  <service name="mine"/>
  <service name="../../x"/>
  <rule family="ipv4">
    <source address="192.0.2.0/24"/>
    <service name="old-ftp"/>
    <accept/>
  </rule>
</zone>
`)
	put(t, root, "etc/firewalld/zones/public.xml.old", `<zone><service name="sip"/></zone>`)
	put(t, root, "etc/firewalld/policies/out.xml", "<policy target=\"CONTINUE\">\n<service name=\"gone\"/>\n<service name=\"broken\"/>\n</policy>")
	put(t, root, "usr/lib/firewalld/services/ssh.xml", `<service><port protocol="tcp" port="22"/></service>`)
	put(t, root, "usr/lib/firewalld/services/sip.xml", `<service><port protocol="udp" port="5060"/><helper name="sip"/></service>`)
	put(t, root, "usr/lib/firewalld/services/old-ftp.xml", `<service><port protocol="tcp" port="21"/><module name="nf_conntrack_ftp"/></service>`)
	put(t, root, "usr/lib/firewalld/services/mine.xml", `<service><helper name="hidden"/></service>`)
	put(t, root, "etc/firewalld/services/mine.xml",
		`<service><include service="mine"/><include service="sip"/><helper name="names"/><module name="nf_nat_sip"/></service>`)
	put(t, root, "etc/firewalld/services/broken.xml", "<service><helper name=\"irc\"/>\n<")
	put(t, root, "etc/firewalld/helpers/names.xml", `<helper module="nf_conntrack_netbios_ns"><port protocol="udp" port="138"/></helper>`)
	put(t, root, "etc/firewalld/direct.xml", `<direct>
  <rule ipv="ipv4" table="raw" chain="PREROUTING" priority="0">-p udp --dport 5070 -j CT --helper sip</rule>
  <passthrough ipv="ipv6">-t raw -A PREROUTING -j CT --helper "ftp</passthrough>
</direct>`)
	_, broken := parseXML([]byte("<service><helper name=\"irc\"/>\n<"))
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
	if want := "cannot read the XML: XML syntax error on line 2: unexpected EOF"; broken.Error() != want {
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
