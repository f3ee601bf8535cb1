package ground

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

const (
	conf  = "etc/sysctl.d/50-a.conf"
	names = "proc/sys/net/netfilter/nf_conntrack_"
)

// modern are the files of a systemd host with the module, with max 262144.
var modern = map[string]string{
	"usr/lib/systemd/systemd": "", "proc/sys/kernel/osrelease": "6.1.0-28-amd64\n",
	"sys/module/nf_conntrack/initstate": "live\n",
	names + "max":                       "262144\n", "proc/sys/net/nf_conntrack_max": "262144\n",
	names + "count": "10\n", names + "udp_timeout": "30\n",
}

var hosts = map[string]struct {
	files map[string]string
	// want has "SEVERITY ID: EVIDENCE, …" of each finding.
	want []string
}{
	"a healthy host": {map[string]string{conf: "net.netfilter.nf_conntrack_max = 262144\n",
		"etc/modules-load.d/a.conf": "nf_conntrack\n"}, nil},
	"a key that no kernel has": {map[string]string{conf: "net.ipv4.nf_conntrack_max = 99\n"}, []string{
		"warning wrong-key: /etc/sysctl.d/50-a.conf:1: net.ipv4.nf_conntrack_max = 99 (" +
			"no kernel has a key of this name; the right key is net.netfilter.nf_conntrack_max)",
	}},
	"the right key stands beside it": {
		map[string]string{conf: "net.ipv4.nf_conntrack_max = 99\nnet.netfilter.nf_conntrack_max = 262144\n"}, []string{
			"info wrong-key: /etc/sysctl.d/50-a.conf:1: net.ipv4.nf_conntrack_max = 99 (" +
				"no kernel has a key of this name; the right key is net.netfilter.nf_conntrack_max)",
		},
	},
	"the live value is the wanted one": {map[string]string{conf: "net.ipv4.ip_conntrack_max = 262144\n"}, []string{
		"info wrong-key: /etc/sysctl.d/50-a.conf:1: net.ipv4.ip_conntrack_max = 262144 (kernels since 4.9 " +
			"have no key of this name; the right key is net.netfilter.nf_conntrack_max)",
	}},
	"a key that left": {map[string]string{conf: "net.netfilter.nf_conntrack_helper = 0\n"}, []string{
		"info wrong-key: /etc/sysctl.d/50-a.conf:1: net.netfilter.nf_conntrack_helper = 0 (this kernel has no " +
			"such key: the last one that has it is Linux 5.19)",
	}},
	"a dead list": {map[string]string{"etc/modules.load.d/a.conf": "nf_conntrack\n"}, []string{
		"info dead-line: /etc/modules.load.d/a.conf:1: nf_conntrack (no program reads /etc/modules.load.d)",
	}},
	"a dead list, and a setting that is too early because of it": {
		map[string]string{"etc/modules.load.d/a.conf": "nf_conntrack\n", conf: "net.netfilter.nf_conntrack_max = 99\n"},
		[]string{"warning dead-line: /etc/modules.load.d/a.conf:1: nf_conntrack (no program reads " +
			"/etc/modules.load.d)"},
	},
	"a container where nothing is set": {map[string]string{"run/systemd/container": "lxc\n"}, nil},
	"a container with a file": {
		map[string]string{"run/systemd/container": "lxc\n", conf: "net.ipv4.nf_conntrack_max = 99\n"}, []string{
			"info platform: /run/systemd/container:0: lxc",
			"info wrong-key: /etc/sysctl.d/50-a.conf:1: net.ipv4.nf_conntrack_max = 99 (" +
				"no kernel has a key of this name; the right key is net.netfilter.nf_conntrack_max)",
		},
	},
	"NixOS": {map[string]string{"etc/os-release": "ID=nixos\n", conf: "net.netfilter.nf_conntrack_max = 262144\n"},
		[]string{"info platform: /etc/os-release:0: Linux"}},
	"NixOS where nothing is set": {map[string]string{"etc/os-release": "ID=nixos\n"}, nil},
}

func TestCheck(t *testing.T) {
	for name, test := range hosts {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			doctortest.Put(t, root, modern)
			doctortest.Put(t, root, test.files)
			var got []string
			for _, f := range Check(doctortest.Take(t, root)) {
				got = append(got, describe(f))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func describe(f finding.Finding) string {
	var evidence []string
	for _, e := range f.Evidence {
		place := e.Place.String()
		if e.Line == 0 {
			place += ":0"
		}
		evidence = append(evidence, place+": "+e.Text)
	}
	return string(f.Severity) + " " + f.ID + ": " + strings.Join(evidence, ", ")
}

// TestInstructions: the note of a system that makes its files says where things are configured.
func TestInstructions(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, modern)
	doctortest.Put(t, root, map[string]string{
		"etc/os-release": "ID=bottlerocket\n", "etc/modules-load.d/a.conf": "nf_conntrack\n",
	})
	f := doctortest.Find(t, Check(doctortest.Take(t, root)), "platform")
	for _, word := range []string{
		"settings.kernel.sysctl", "settings.kernel.modules", "settings.boot.kernel-parameters",
	} {
		if !strings.Contains(f.Note, word) {
			t.Errorf("the note has no %s: %s", word, f.Note)
		}
	}
	const command = "ctkeeper render bottlerocket"
	if strings.Contains(f.Note, command) {
		t.Errorf("there is no configuration to print: %s", f.Note)
	}
	doctortest.Put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 262144}\n"})
	if f := doctortest.Find(t, Check(doctortest.Take(t, root)), "platform"); !strings.Contains(f.Note, command) {
		t.Errorf("the note has no %s: %s", command, f.Note)
	}
}
