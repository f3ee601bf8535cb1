package module

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// restartFirewalls returns the commands that restart the firewalls whose files have rules about
// connections, and Docker, which makes rules of its own.
func restartFirewalls(h *picture.Host) []string {
	var services, commands []string
	for _, name := range slices.Sorted(maps.Keys(h.Rules.Modules)) {
		services = append(services, firewallService(h.Rules.Modules[name].File))
	}
	if _, on := h.DockerRules(); on {
		services = append(services, "docker")
	}
	for _, service := range finding.Unique(services) {
		switch {
		case service == "":
		case h.Env.Systemd:
			commands = append(commands, "systemctl restart "+service)
		case h.Distro.ID == "alpine" || h.Distro.ID == "gentoo": // OpenRC
			commands = append(commands, "rc-service "+service+" restart")
		default:
			commands = append(commands, "service "+service+" restart")
		}
	}
	return commands
}

// firewallService returns the service that loads a file of rules; "" where it is not certain.
func firewallService(file string) string {
	dir, name := path.Split(file)
	switch {
	case strings.Contains(file, "/nftables"):
		return "nftables"
	case strings.HasPrefix(dir, "/etc/ufw/"):
		return "ufw"
	case strings.HasPrefix(dir, "/etc/firewalld/"):
		return "firewalld"
	case strings.HasPrefix(dir, "/etc/shorewall6/"):
		return "shorewall6"
	case strings.HasPrefix(dir, "/etc/shorewall/"):
		return "shorewall"
	case dir == "/etc/iptables/" && strings.HasPrefix(name, "rules.v"): // Debian's
		return "netfilter-persistent"
	case dir == "/etc/sysconfig/", dir == "/etc/iptables/":
		if strings.HasPrefix(name, "ip6") || strings.HasPrefix(name, "rules6") {
			return "ip6tables"
		}
		return "iptables"
	}
	return ""
}
