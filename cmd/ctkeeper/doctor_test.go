package main

import (
	"encoding/json"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// soundHost is a host that has nothing for the doctor.
func soundHost(t *testing.T) string {
	t.Helper()
	root := host(t, "settings:\n  max: 65536\n  hashsize: 65536\n")
	kerneltree.Set(t, root, "tcp_timeout_established", "86400")
	for name, content := range map[string]string{
		"proc/sys/kernel/osrelease":                  "6.1.0-18-amd64\n",
		"proc/cmdline":                               "quiet\n",
		"lib/modules/6.1.0-18-amd64/modules.dep":     "",
		"lib/modules/6.1.0-18-amd64/modules.builtin": "kernel/net/netfilter/nf_conntrack.ko\n",
		"etc/alpine-release":                         "3.20.0\n",
		"var/log/kern.log":                           "",
		"proc/modules":                               "",
	} {
		kerneltree.Put(t, root, name, content)
	}
	return root
}

func TestDoctor(t *testing.T) {
	t.Run("sound", func(t *testing.T) {
		ctkeeper(t.Context(), "doctor", "--root", soundHost(t)).wants(t, 0,
			[]string{"\nhealthy: no problem found with nf_conntrack or its settings\n"}, nil)
	})
	t.Run("ill", func(t *testing.T) {
		root := host(t, "module: {load: true}\n")
		kerneltree.Put(t, root, "etc/modprobe.d/x.conf", "blacklist nf_conntrack\n")
		ctkeeper(t.Context(), "doctor", "--root", root).wants(t, 1, []string{
			"WARNING module-blacklisted: nf_conntrack is blacklisted: ", // no kernel runs here: nothing is seen to fail
			"\n  /etc/modprobe.d/x.conf:1: blacklist nf_conntrack\n  fix:\n    sed -i",
			"\n    modprobe nf_conntrack\n", " warning",
		}, nil)
	})
	t.Run("nothing", func(t *testing.T) {
		root := t.TempDir()
		ctkeeper(t.Context(), "doctor", "--root", root).wants(t, 2, nil, []string{
			"ctkeeper: cannot examine " + root +
				": nothing to examine: no /etc, no /lib/modules, no /usr/lib/modules, no /proc, no /sys\n",
		})
	})
	t.Run("documents", func(t *testing.T) {
		root := soundHost(t)
		got := ctkeeper(t.Context(), "doctor", "--root", root, "-o", "json")
		got.wants(t, 0, []string{`"healthy": true`}, nil)
		var report doctor.Report
		if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || report.Root != root ||
			report.Kernel != "6.1.0-18-amd64" {
			t.Errorf("root %s, kernel %s (%v)", report.Root, report.Kernel, err)
		}
		ctkeeper(t.Context(), "doctor", "--root", root, "-o", "yaml").wants(t, 0, []string{"healthy: true\n"}, nil)
	})
	t.Run("the configuration named", func(t *testing.T) {
		root := soundHost(t)
		kerneltree.Put(t, root, "etc/other.yaml", "settings: {max: lots}\n")
		// A refused configuration is one of the problems found, with an exit status of its own.
		ctkeeper(t.Context(), "doctor", "--root", root, "--config", "/etc/other.yaml").wants(t, 78,
			[]string{"/etc/other.yaml"}, nil)
	})
}
