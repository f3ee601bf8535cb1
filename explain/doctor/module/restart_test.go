package module

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// TestStartAgain: the command that brings back the firewall whose rules failed.
func TestRestartFirewalls(t *testing.T) {
	systemd := picture.Environment{Systemd: true}
	tests := map[string]struct {
		file string
		host picture.Host
		want []string
	}{
		"nftables": {"/etc/nftables.conf", picture.Host{Env: systemd},
			[]string{"systemctl restart nftables"}},
		"a file it includes": {"/etc/nftables.d/web.nft", picture.Host{Env: systemd},
			[]string{"systemctl restart nftables"}},
		"Fedora's nftables": {"/etc/sysconfig/nftables.conf", picture.Host{Env: systemd},
			[]string{"systemctl restart nftables"}},
		"ufw": {"/etc/ufw/before.rules", picture.Host{Env: systemd}, []string{"systemctl restart ufw"}},
		"firewalld": {"/etc/firewalld/direct.xml", picture.Host{Env: systemd},
			[]string{"systemctl restart firewalld"}},
		"shorewall": {"/etc/shorewall/conntrack", picture.Host{Env: systemd},
			[]string{"systemctl restart shorewall"}},
		"shorewall6": {"/etc/shorewall6/conntrack", picture.Host{Env: systemd},
			[]string{"systemctl restart shorewall6"}},
		"Debian's iptables": {"/etc/iptables/rules.v6", picture.Host{Env: systemd},
			[]string{"systemctl restart netfilter-persistent"}},
		"Arch's iptables": {"/etc/iptables/ip6tables.rules", picture.Host{Env: systemd},
			[]string{"systemctl restart ip6tables"}},
		"an old init": {"/etc/sysconfig/iptables", picture.Host{Distro: distro.Distribution{ID: "centos"}},
			[]string{"service iptables restart"}},
		"OpenRC": {"/etc/iptables/rules6-save", picture.Host{Distro: distro.Distribution{ID: "alpine"}},
			[]string{"rc-service ip6tables restart"}},
		"Docker": {"", picture.Host{Env: systemd, Inventory: inventory.Inventory{ToolOptions: []inventory.ToolOption{
			{Tool: "docker", Name: "iptables", Value: "true", Default: true},
		}}}, []string{"systemctl restart docker"}},
		"Docker without rules": {"/etc/nftables.conf", picture.Host{Env: systemd,
			Inventory: inventory.Inventory{ToolOptions: []inventory.ToolOption{
				{Tool: "docker", Name: "iptables", Value: "false"},
			}}}, []string{"systemctl restart nftables"}},
		"ifupdown's":           {"/etc/iptables.up.rules", picture.Host{Env: systemd}, nil},
		"a rule in the kernel": {"iptables-save", picture.Host{Env: systemd}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			place := tree.Place{File: test.file, Line: 3}
			test.host.Rules = firewall.Rules{Modules: map[string]tree.Place{"nft_ct": place, "nf_nat": place}}
			if diff := cmp.Diff(test.want, restartFirewalls(&test.host)); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}
