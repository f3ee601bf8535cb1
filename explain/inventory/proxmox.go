package inventory

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// pveDefaultMax is the lowest nf_conntrack_max that pve-firewall sets (update_nf_conntrack_max in its
// Firewall.pm). Before 4.0-8 of November 2019 it was 65536.
const pveDefaultMax = 262144

// readProxmox reads the firewall options of a Proxmox VE host. Its firewall is off unless cluster.fw
// enables it, and is one of two programs: pve-firewall, or proxmox-firewall, which host.fw chooses.
func (r *reader) readProxmox() {
	dirs := []string{"/etc/pve/local"}
	if r.tree.Gone(dirs[0]) {
		dirs = nil
		for _, node := range r.list("/etc/pve/nodes") {
			dirs = append(dirs, path.Join("/etc/pve/nodes", node))
		}
	}
	const cluster = "/etc/pve/firewall/cluster.fw"
	noEffect, uncertain := "", ""
	switch enable := r.pveOptions(cluster)["enable"].value; {
	case r.tree.Gone(cluster):
		uncertain = "the firewall is off unless " + cluster + " enables it"
	case enable == "" || enable == "0":
		noEffect = "the firewall is not enabled in " + cluster
	case !r.isEnabled("pve-firewall"):
		noEffect = "pve-firewall.service is not enabled"
	}
	if len(dirs) > 1 {
		uncertain = "/etc/pve/nodes has several nodes, and this may be another one"
	}
	for _, dir := range dirs {
		p := pveHost{
			reader: r, file: path.Join(dir, "host.fw"), tool: "pve-firewall", noEffect: noEffect, uncertain: uncertain,
		}
		p.options = r.pveOptions(p.file)
		if helpers, there := p.options["nf_conntrack_helpers"]; there {
			r.addOption(p.tool, helpers.name, helpers.value, helpers.Place, false)
		}
		if p.options["nftables"].value == "1" && r.tree.Exists("/usr/libexec/proxmox/proxmox-firewall") {
			p.addNftables()
		} else if len(p.options) > 0 || noEffect == "" && uncertain == "" {
			p.addIptables()
		}
	}
}

// pveOptions returns the options in the section [OPTIONS] of a firewall file, the last of a name.
func (r *reader) pveOptions(file string) map[string]pair {
	options := map[string]pair{}
	text, _ := r.read(file)
	section := ""
	for number, line := range numbered(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.ToUpper(line)
		}
		name, value, ok := strings.Cut(line, ":")
		if section == "[OPTIONS]" && ok && !strings.HasPrefix(line, "#") {
			name = strings.ToLower(strings.TrimSpace(name))
			at := tree.Place{File: file, Line: number}
			options[name] = pair{Place: at, name: name, value: strings.TrimSpace(value)}
		}
	}
	return options
}

// pveHost is the firewall of one node.
type pveHost struct {
	*reader
	file, tool string
	options    map[string]pair
	// noEffect and uncertain are those of all its assignments.
	noEffect, uncertain string
}

// option returns an option, or its default.
func (p pveHost) option(name, defaultValue string) pair {
	if given, there := p.options[name]; there {
		return given
	}
	return pair{Place: tree.Place{File: p.file}, name: name, value: defaultValue}
}

func (p pveHost) add(at pair, setting, value, uncertain string) {
	if p.uncertain != "" {
		uncertain = p.uncertain
	}
	key := at.name
	if setting == sysfs.Hashsize {
		key = setting
	}
	p.addAssignment(Assignment{
		Place: at.Place, Name: setting, Key: key, Value: value, Tool: p.tool, Phase: Periodically,
		Uncertain: uncertain, NoEffect: p.noEffect,
	})
}

// addIptables adds what pve-firewall sets every ten seconds (apply_ruleset): max rounded up to a
// multiple of 8192; hashsize to a quarter of it, only when it changes max; the timeout of established
// connections. Its source looks for the timeout of SYN_RECV under a misspelt name, so it writes
// nothing where the option is given.
func (p pveHost) addIptables() {
	given := p.option("nf_conntrack_max", "0")
	n, err := strconv.ParseInt(given.value, 10, 64)
	if err != nil || n < 0 || n > 1<<31 {
		p.addTrouble(given.Place, errNumber)
		return
	}
	ofMax, ofHashsize := "", ""
	if n <= pveDefaultMax {
		n = pveDefaultMax
		if !p.isKernelSince(5, 3) { // that of Proxmox VE 6.1, of December 2019
			ofMax = "pve-firewall before 4.0-8 sets 65536 at least, later ones 262144"
		}
	}
	n = (n + 8191) / 8192 * 8192
	value := strconv.FormatInt(n, 10)
	if n == pveDefaultMax || p.isSetBefore("max", value) {
		ofHashsize = "pve-firewall writes it only when it changes nf_conntrack_max"
	}
	p.add(given, "max", value, ofMax)
	p.add(given, sysfs.Hashsize, strconv.FormatInt(n/4, 10), ofHashsize)
	timeout := p.option("nf_conntrack_tcp_timeout_established", "432000")
	p.add(timeout, "tcp_timeout_established", timeout.value, "")
	if synRecv, there := p.options["nf_conntrack_tcp_timeout_syn_recv"]; there {
		p.add(synRecv, "tcp_timeout_syn_recv", synRecv.value,
			"pve-firewall up to 6.0 looks for the option under a misspelt name")
	}
}

// isSetBefore reports whether one of the assignments found so far sets a setting to a value. (Kernels
// set max to 262144 or less themselves.)
func (r *reader) isSetBefore(name, value string) bool {
	return slices.ContainsFunc(r.inv.Assignments, func(a Assignment) bool {
		return a.Name == name && a.Value == value && a.NoEffect == ""
	})
}

// isKernelSince reports whether the kernel has this version or a later one.
func (r *reader) isKernelSince(major, minor int) bool {
	text, _ := r.tree.Read("/proc/sys/kernel/osrelease", maxValue)
	parts := strings.SplitN(strings.TrimSpace(string(text)), ".", 3)
	if len(parts) < 3 {
		return false
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(parts[1])
	return a > major || a == major && b >= minor
}

// addNftables adds what proxmox-firewall sets: the options of host.fw, as they are, unless the
// host's firewall is off (handle_host_options in its firewall.rs).
func (p pveHost) addNftables() {
	p.tool = "proxmox-firewall"
	if p.options["enable"].value == "0" && p.noEffect == "" {
		p.noEffect = p.options["enable"].Place.String() + " turns the firewall of the host off"
	}
	for _, name := range []string{
		"nf_conntrack_max", "nf_conntrack_tcp_timeout_established", "nf_conntrack_tcp_timeout_syn_recv",
	} {
		if given, there := p.options[name]; there {
			p.add(given, strings.TrimPrefix(name, "nf_conntrack_"), given.value, "")
		}
	}
}
