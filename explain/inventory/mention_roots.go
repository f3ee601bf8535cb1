package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

// remoteType matches the file systems of other hosts, and of programs.
var remoteType = pattern.New(`^(?:nfs4?|cifs|smb3|smbfs|ceph|afs|lustre|glusterfs|9p|fuse\..*|autofs)$`)

// searchRoot is a directory, or a file, that is searched for lines that name nf_conntrack.
type searchRoot struct {
	path  string
	depth int
	// files limits the files of this root, so that a large one leaves room for the others.
	files int
	// isConfig is true where programs load data files (YAML, JSON, NAME=VALUE) as their configuration.
	// Elsewhere only scripts count as what can set a value.
	isConfig bool
	// scripts is true where only what begins with #! is searched: among programs.
	scripts bool
}

// searchRoots returns where configuration and scripts live, the places that matter most first.
func searchRoots() []searchRoot {
	return []searchRoot{
		{path: "/etc", depth: 8, files: 10_000, isConfig: true},
		{path: "/usr/lib/systemd", depth: 3, files: 4_000, isConfig: true},
		{path: "/lib/systemd", depth: 3, files: 4_000, isConfig: true}, // where /lib is no link to /usr/lib
		{path: "/usr/local/lib/systemd", depth: 3, files: 1_000, isConfig: true},
		{path: "/run/systemd", depth: 3, files: 2_000, isConfig: true},
		{path: "/var/spool/cron", depth: 3, files: 500, isConfig: true},
		{path: "/usr/lib/NetworkManager", depth: 2, files: 200, isConfig: true},
		{path: "/usr/local/etc", depth: 6, files: 2_000, isConfig: true},
		{path: "/usr/local/bin", depth: 2, files: 2_000},
		{path: "/usr/local/sbin", depth: 2, files: 1_000},
		{path: "/usr/local/libexec", depth: 4, files: 1_000},
		{path: "/usr/local/share", depth: 4, files: 2_000},
		{path: "/usr/local/lib", depth: 4, files: 2_000},
		{path: "/var/lib/cloud", depth: 5, files: 1_000, isConfig: true},      // cloud-init
		{path: "/var/lib/waagent", depth: 4, files: 1_000, isConfig: true},    // Azure's agent
		{path: "/var/lib/google", depth: 4, files: 500, isConfig: true},       // Google's guest agent
		{path: "/home/kubernetes", depth: 3, files: 500, isConfig: true},      // GKE's nodes on COS
		{path: "/var/lib/rancher", depth: 5, files: 2_000, isConfig: true},    // k3s and RKE2
		{path: "/var/lib/kubelet", depth: 2, files: 500, isConfig: true},      // its own configuration, not the pods
		{path: "/var/snap", depth: 4, files: 2_000, isConfig: true},           // microk8s: current/args
		{path: "/var/lib/bottlerocket", depth: 3, files: 100, isConfig: true}, // user data
		{path: "/usr/share/netfilter-persistent", depth: 2, files: 50},
		{path: "/var/lib/ocp-tuned", depth: 3, files: 500, isConfig: true},     // OpenShift's Node Tuning Operator
		{path: "/var/lib/coreos-install", depth: 1, files: 20, isConfig: true}, // user_data of coreos-cloudinit
		{path: "/var/lib/flatcar-install", depth: 1, files: 20, isConfig: true},
		{path: "/oem", depth: 2, files: 100, isConfig: true},
		{path: "/usr/share/oem", depth: 2, files: 100, isConfig: true},
		{path: "/config", depth: 4, files: 1_000, isConfig: true}, // VyOS, EdgeOS
		{path: "/data", depth: 2, files: 500},                     // UniFi: on_boot.d
		{path: "/jffs", depth: 3, files: 500},                     // Asuswrt
		{path: "/opt", depth: 5, files: 4_000, isConfig: true},
		{path: "/srv", depth: 4, files: 1_000},
		{path: "/root", depth: 2, files: 500},
		{path: "/usr/libexec", depth: 3, files: 1_000},
		{path: "/usr/sbin", depth: 0, files: 2_000, scripts: true},
		{path: "/usr/bin", depth: 0, files: 4_000, scripts: true},
		{path: "/sbin", depth: 0, files: 1_000, scripts: true}, // where it is no link to /usr/sbin
		{path: "/bin", depth: 0, files: 1_000, scripts: true},
	}
}

// isSkipped reports whether a file or directory does not configure the host: databases of packages,
// documentation, version control, libraries of programs, keys; what other readers have read whole
// (modprobe.d, sysctl.d); ctkeeper's own files; and what is known to read at most.
func isSkipped(file string) bool {
	switch name := path.Base(file); {
	case strings.HasPrefix(name, "ctkeeper"):
		return true
	case strings.HasSuffix(name, ".conf") && (strings.HasPrefix(file, "/etc/tuned/") ||
		strings.HasPrefix(file, "/etc/modprobe.d/")):
		return true // readTuned and readModprobe have read them
	case slices.Contains([]string{
		".git", ".svn", ".hg", ".cache", "node_modules", "site-packages", "dist-packages", "__pycache__", "include",
		"doc", "docs", "man", "info", "locale", "licenses", "bash-completion", "bash_completion.d", "zsh",
	}, name):
		return true
	}
	return slices.Contains([]string{
		"/etc/alternatives", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/selinux", "/etc/apparmor.d",
		"/etc/apparmor", "/etc/logrotate.d", "/etc/fonts", "/etc/X11", "/var/lib/rancher/k3s/data",
		"/etc/pve", // of every node of the cluster
		"/etc/init.d/iptables", "/etc/init.d/ip6tables", "/etc/rc.d/init.d/iptables", "/etc/rc.d/init.d/ip6tables",
		"/usr/libexec/iptables",
	}, file)
}
