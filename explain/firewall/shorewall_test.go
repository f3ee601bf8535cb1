package firewall

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// conntrackFile is an excerpt of the file that Shorewall ships, with more entries after it.
const conntrackFile = `# Shorewall -- /etc/shorewall/conntrack
?FORMAT 3
#ACTION			SOURCE	DEST	PROTO	DPORT
?if $AUTOHELPERS && __CT_TARGET
?if __FTP_HELPER
CT:helper:ftp:PO	-	-	tcp	21
?endif
?if __NETBIOS_NS_HELPER
CT:helper:netbios-ns:PO	-	-	udp	137
?endif
?if __SIP_HELPER
CT:helper:sip:PO	-	-	udp	5060
?else
NOTRACK			-	-	udp	5060
?endif
?endif
CT:helper:RAS(ctevents=(new,related)):info	eth0	-	udp	1719
IPTABLES(CT --ctevents new --helper irc)	eth0	-	tcp	6667
{ action=CT:helper:Q.931, proto=tcp, dport=1720 }
#CT:helper:pptp
DROP	eth0	-	tcp	1
`

func TestShorewall(t *testing.T) {
	rest := []string{"RAS:17", "irc:18", "Q.931:19"}
	tests := []struct {
		name, conf string
		want       []string
	}{
		{"defaults", "STARTUP_ENABLED=Yes\n", append([]string{"ftp:6", "netbios-ns:9", "sip:12"}, rest...)},
		{"no automatic helpers", "AUTOHELPERS=No\n", rest},
		{
			"some helpers", "AUTOHELPERS=\"Yes\"\nHELPERS=\"netbios-ns, sip\" # and no more\n",
			append([]string{"netbios-ns:9", "sip:12"}, rest...),
		},
		{"no helpers", "HELPERS=none\n", rest},
		{"start disabled", "STARTUP_ENABLED=No\n", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, "etc/shorewall6/shorewall6.conf", test.conf)
			put(t, root, "etc/shorewall6/conntrack", conntrackFile)
			got := Read(t.Context(), tree.At(root))
			var short []string
			for _, helper := range got.Helpers {
				short = append(short, helper.Name+helper.Place.String()[len("/etc/shorewall6/conntrack"):])
			}
			if diff := cmp.Diff(test.want, short); diff != "" {
				t.Errorf("helpers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShorewallRule(t *testing.T) {
	equal(t, Rules{
		Helpers: []HelperRule{{Place: at("x", 2), Name: "sip", Rule: "CT:helper:sip:PO\t-\t-\tudp\t5060"}},
		Modules: map[string]tree.Place{"xt_CT": at("x", 2)},
	}, parseShorewall("x", "?FORMAT 3\nCT:helper:sip:PO\t-\t-\tudp\t5060 # phones\n", nil))
}

func TestShorewallConditions(t *testing.T) {
	const entry = "CT:helper:sip:P - - udp 5060\n"
	options := map[string]string{"AUTOHELPERS": "No", "HELPERS": "ftp"}
	tests := []struct {
		name, text string
		want       bool
	}{
		{"unknown", "?if __KERNELVERSION > 30500\n" + entry + "?endif\n", true},
		{"not", "?if ! $AUTOHELPERS\n" + entry + "?endif\n", true},
		{"either", "?IF $AUTOHELPERS || $X\n" + entry + "?ENDIF\n", true},
		{"else of never", "?if\t$AUTOHELPERS\n?else\n" + entry + "?endif\n", true},
		{"elsif of never", "?if $AUTOHELPERS\n?elsif $X\n" + entry + "?endif\n", true},
		{"elsif that is never", "?if $X\n?elsif __SIP_HELPER\n" + entry + "?endif\n", false},
		{"after it", "?if $AUTOHELPERS\n?endif\n" + entry, true},
		{"within never", "?if $AUTOHELPERS\n?if $X\n" + entry + "?endif\n?endif\n", false},
		{"too many ends", "?endif\n?else\n?elsif x\n" + entry, true},
		{"a question", "?\n" + entry, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := len(parseShorewall("x", test.text, options).Helpers) == 1; got != test.want {
				t.Errorf("want %v, got %v", test.want, got)
			}
		})
	}
}

func FuzzParseShorewall(f *testing.F) {
	f.Add(conntrackFile, "AUTOHELPERS=No\nHELPERS=ftp,sip\n")
	f.Fuzz(func(t *testing.T, text, conf string) {
		for _, helper := range parseShorewall("x", text, shorewallOptions(conf)).Helpers {
			if helper.Line < 1 || helper.Name == "" || helper.Rule == "" {
				t.Errorf("helper %+v", helper)
			}
		}
	})
}
