package inventory

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// proxmox reads the host's firewall options (Proxmox VE), which pve-firewall holds
// every few seconds: max never below 65536, in steps of 8192, and hashsize a
// quarter of it.
func (r *reader) proxmox() {
	dirs := []string{"/etc/pve/local"}
	if r.tree.Gone(dirs[0]) {
		dirs = nil
		for _, node := range r.list("/etc/pve/nodes") {
			dirs = append(dirs, path.Join("/etc/pve/nodes", node))
		}
	}
	for _, dir := range dirs {
		file := path.Join(dir, "host.fw")
		text, _ := r.read(file)
		section := ""
		for number, line := range numbered(text) {
			line = strings.TrimSpace(line)
			at := tree.Place{File: file, Line: number}
			if strings.HasPrefix(line, "[") {
				section = strings.ToUpper(line)
			}
			name, value, ok := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if section != "[OPTIONS]" || !ok || strings.HasPrefix(line, "#") {
				continue
			}
			switch name = strings.TrimSpace(name); name {
			case "nf_conntrack_max":
				n, err := strconv.ParseInt(value, 10, 64)
				if err != nil || n < 0 || n > 1<<31 {
					r.trouble(at, errNumber)
					continue
				}
				n = (max(n, 65536) + 8191) / 8192 * 8192
				r.pve(at, "max", name, strconv.FormatInt(n, 10))
				r.pve(at, "hashsize", name, strconv.FormatInt(n/4, 10))
			case "nf_conntrack_tcp_timeout_established", "nf_conntrack_tcp_timeout_syn_recv":
				r.pve(at, strings.TrimPrefix(name, "nf_conntrack_"), name, value)
			case "nf_conntrack_helpers":
				r.setSwitch("pve-firewall", name, value, at, false)
			}
		}
	}
}

func (r *reader) pve(at tree.Place, setting, key, value string) {
	r.add(Assignment{Place: at, Name: setting, Key: key, Value: value, Tool: "pve-firewall", Phase: AtFirewallStart})
}

// docker tells whether Docker makes rules, which load the module when it starts:
// behind systemd-sysctl.
func (r *reader) docker() {
	const file = "/etc/docker/daemon.json"
	installed := slices.ContainsFunc([]string{
		file, "/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/lib/systemd/system/docker.service", "/lib/systemd/system/docker.service",
	}, r.tree.Exists)
	if !installed {
		return
	}
	text, _ := r.read(file)
	var config struct {
		IPTables *bool `json:"iptables"`
	}
	if err := json.Unmarshal([]byte(text), &config); text != "" && err != nil {
		r.trouble(tree.Place{File: file}, errJSON)
		return
	}
	if config.IPTables == nil {
		r.setSwitch("docker", "iptables", "true", tree.Place{File: file}, true)
		return
	}
	for number, line := range numbered(text) {
		if strings.Contains(line, `"iptables"`) {
			r.setSwitch("docker", "iptables", strconv.FormatBool(*config.IPTables), tree.Place{File: file, Line: number}, false)
			return
		}
	}
}
