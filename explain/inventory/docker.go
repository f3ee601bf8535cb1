package inventory

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// readDocker reads whether Docker makes firewall rules. If it does, it loads the module when it
// starts, which is after systemd-sysctl.
func (r *reader) readDocker() {
	const file = "/etc/docker/daemon.json"
	installed := slices.ContainsFunc([]string{
		file, "/usr/bin/dockerd", "/usr/sbin/dockerd",
		"/usr/lib/systemd/system/docker.service", "/lib/systemd/system/docker.service",
	}, r.tree.Exists)
	if !installed {
		return
	}
	text, _ := r.read(file)
	var config struct {
		IPTables *bool `json:"iptables"`
	}
	if err := json.Unmarshal([]byte(text), &config); text != "" && err != nil {
		r.addTrouble(tree.Place{File: file}, errJSON)
		return
	}
	if config.IPTables == nil {
		r.addOption("docker", "iptables", "true", tree.Place{File: file}, true)
		return
	}
	for number, line := range numbered(text) {
		if strings.Contains(line, `"iptables"`) {
			at := tree.Place{File: file, Line: number}
			r.addOption("docker", "iptables", strconv.FormatBool(*config.IPTables), at, false)
			return
		}
	}
}
