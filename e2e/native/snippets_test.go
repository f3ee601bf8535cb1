//go:build native

package native

import (
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/e2e/debs"
	"github.com/ctkeeper/ctkeeper/internal/document"
)

// TestSnippets runs what docs/how-to/config-management.md has for other tools with these tools.
func TestSnippets(t *testing.T) {
	packages, err := debs.Build("../..", t.TempDir(), "0.1.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	m := Boot(t, "bookworm", "cloud-init", "puppet-agent", "puppet-lint", "nix-bin")
	m.Copy(packages, "/root/dist")
	m.Must("dpkg -i /root/dist/ctkeeper_*.deb")
	d, err := document.Read("../../docs/how-to/config-management.md")
	if err != nil {
		t.Fatal(err)
	}
	tested := ""
	for _, b := range d.Blocks {
		text := strings.Join(b.Lines, "\n") + "\n"
		switch {
		case b.Info == "puppet":
			checkPuppet(t, m, text)
		case b.Info == "nix":
			m.Write("/root/module.nix", text)
			m.Must("nix-instantiate --parse /root/module.nix")
		case strings.HasPrefix(text, "#cloud-config\n"):
			checkCloudInit(m, text)
		default:
			continue
		}
		tested += b.Info + " "
	}
	if want := "yaml puppet nix "; tested != want {
		t.Errorf("tested %q, want %q", tested, want)
	}
}

// checkPuppet applies a manifest: the first run changes something, the second one nothing, and an edit reloads.
func checkPuppet(t *testing.T, m *Machine, manifest string) {
	t.Helper()
	apply := func(manifest string, want int) {
		t.Helper()
		m.Write("/root/site.pp", manifest)
		if output, status := m.Run("puppet apply --detailed-exitcodes /root/site.pp"); status != want {
			t.Errorf("puppet apply: exit status %d, want %d\n%s", status, want, output)
		}
	}
	const file = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	wait := func(seconds string) {
		t.Helper()
		m.WaitFor(10*time.Second, "grep -x "+seconds+" "+file)
	}
	const unchanged, changed, failed = 0, 2, 4
	m.Write("/root/site.pp", manifest)
	m.Must("puppet parser validate /root/site.pp && puppet-lint --fail-on-warnings /root/site.pp")
	pid := m.Must("systemctl show -P MainPID ctkeeper")
	apply(manifest, changed)
	wait("45")
	apply(manifest, unchanged)
	apply(strings.Replace(manifest, "45s", "46s", 1), changed)
	wait("46")
	apply(strings.Replace(manifest, "udp_timeout: 45s", "udp_timout: 45s", 1), failed)
	wait("46")
	if now := m.Must("systemctl show -P MainPID ctkeeper"); now != pid {
		t.Errorf("Puppet restarted the service: pid %s, was %s", now, pid)
	}
}

// checkCloudInit runs cloud-init with a file as its user data, so that it writes its files.
func checkCloudInit(m *Machine, data string) {
	m.Write("/var/lib/cloud/seed/nocloud/meta-data", "instance-id: test\n")
	m.Write("/var/lib/cloud/seed/nocloud/user-data", data)
	m.Must("cloud-init schema --config-file /var/lib/cloud/seed/nocloud/user-data")
	m.Must("cloud-init init --local && cloud-init init && ctkeeper config check && ctkeeper config show | grep 524288")
}
