//go:build guest && owners

package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// mustClaim checks that a report says that a program sets these values, and that it does.
func mustClaim(t *testing.T, said claims, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if said.values[name] != value {
			t.Errorf("the report says that %s is set to %q, want %s", name, said.values[name], value)
		}
		if got := read(name); got != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
}

// TestOwnerUfw: ufw applies its sysctl file when it starts.
func TestOwnerUfw(t *testing.T) {
	ownedHost(t)
	run(t, "sh", "-c", "echo net/netfilter/nf_conntrack_max=65536 >>/etc/ufw/sysctl.conf")
	run(t, "sed", "-i", "s/^ENABLED=.*/ENABLED=yes/", "/etc/ufw/ufw.conf")
	start(t, "ufw")
	mustClaim(t, checkRestart(t, "ufw", restartUnit(t, "ufw")), map[string]string{"max": "65536"})
}

// TestOwnerShorewall: Shorewall loads the modules of helpers, and sets nothing.
func TestOwnerShorewall(t *testing.T) {
	ownedHost(t)
	run(t, "ip", "link", "add", "net0", "type", "dummy")
	t.Cleanup(func() { run(t, "ip", "link", "del", "net0") })
	writeFile(t, "/etc/shorewall/zones", "fw firewall\nnet ipv4\n")
	writeFile(t, "/etc/shorewall/interfaces", "?FORMAT 2\nnet net0 -\n")
	writeFile(t, "/etc/shorewall/policy", "fw net ACCEPT\nnet all DROP\nall all REJECT\n")
	start(t, "shorewall")
	checkRestart(t, "shorewall", restartUnit(t, "shorewall"))
}

// TestOwnerDocker: dockerd's rules need the module, and it sets nothing.
func TestOwnerDocker(t *testing.T) {
	ownedHost(t)
	start(t, "docker")
	checkRestart(t, "docker", restartUnit(t, "docker"))
}

// TestOwnerTuned: TuneD sets the values of its active profile when it starts, and the old ones when it stops.
func TestOwnerTuned(t *testing.T) {
	ownedHost(t)
	run(t, "modprobe", "nf_conntrack")
	writeFile(t, "/etc/tuned/e2e/tuned.conf", "[main]\nsummary=e2e\n"+
		"[sysctl]\nnet.netfilter.nf_conntrack_max=100000\nnet.netfilter.nf_conntrack_tcp_timeout_established=3600\n"+
		"[sysfs]\n/sys/module/nf_conntrack/parameters/hashsize=32768\n")
	writeFile(t, "/etc/tuned/active_profile", "e2e\n")
	writeFile(t, "/etc/tuned/profile_mode", "manual\n")
	start(t, "tuned")
	want := map[string]string{"max": "100000", "buckets": "32768", "tcp_timeout_established": "3600"}
	waitApplied(t, restarted, want)
	run(t, "systemctl", "stop", "tuned")
	mustClaim(t, checkRestart(t, "tuned", func() { run(t, "systemctl", "start", "tuned") }), want)
	run(t, "systemctl", "stop", "tuned")
	waitApplied(t, restarted, markValues)
}

// kubeProxyUnit starts the real kube-proxy with the API server of the rig.
const kubeProxyUnit = `[Unit]
Description=kube-proxy
[Service]
ExecStart=%s/kube-proxy --master=http://` + rig.KubeAPIAddress + ` `

// kubeProxyFlags have kube-proxy set max, the hash table and two timeouts.
const kubeProxyFlags = "--kube-api-content-type=application/json --hostname-override=node1 --conntrack-min=131072 " +
	"--conntrack-max-per-core=300000"

// TestOwnerKubeProxy: kube-proxy sets its values when it starts, from flags and from a configuration file.
func TestOwnerKubeProxy(t *testing.T) {
	const config = "/var/lib/kube-proxy/config.conf"
	for name, c := range map[string]struct {
		flags, config string
		want          map[string]string
	}{
		"flags": {
			flags: kubeProxyFlags,
			want: map[string]string{
				"max": "600000", "buckets": "150016", "tcp_timeout_established": "86400",
				"tcp_timeout_close_wait": "3600",
			},
		},
		"config": {
			flags: "--config=" + config,
			config: "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n" +
				"hostnameOverride: node1\nclientConnection:\n  contentType: application/json\nconntrack:\n" +
				"  maxPerCore: 0\n  min: 0\n  tcpEstablishedTimeout: 2h0m0s\n  tcpCloseWaitTimeout: 0s\n" +
				"  udpTimeout: 25s\n",
			want: map[string]string{"tcp_timeout_established": "7200", "udp_timeout": "25"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ownedHost(t)
			run(t, "modprobe", "nf_conntrack")
			stop, err := rig.ServeKubeAPI()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			const file = "/etc/systemd/system/kube-proxy.service"
			text := strings.Replace(kubeProxyUnit, "%s", os.Getenv("CTKEEPER_E2E_DIR"), 1) + c.flags +
				"\n[Install]\nWantedBy=multi-user.target\n"
			writeFile(t, file, text)
			t.Cleanup(func() {
				_, _ = os.Remove(file), os.RemoveAll(filepath.Dir(config))
				run(t, "systemctl", "daemon-reload")
			})
			if c.config != "" {
				writeFile(t, config, c.config)
			}
			start(t, "kube-proxy") // what the files say is certain only while it runs
			established := c.want["tcp_timeout_established"]
			waitApplied(t, restarted, map[string]string{"tcp_timeout_established": established})
			waitRules(t)
			mustClaim(t, checkRestart(t, "kube-proxy", restartUnit(t, "kube-proxy")), c.want)
		})
	}
}

// waitRules waits until kube-proxy has its rules in the kernel: they need xt_conntrack, and load no further modules.
func waitRules(t *testing.T) {
	t.Helper()
	const quiet = 10 * time.Second
	modules, since := "", time.Now()
	eventually(t, restarted, "kube-proxy has loaded its rules", func() bool {
		if now := netfilterModules(t); now != modules {
			modules, since = now, time.Now()
		}
		return strings.Contains(modules, "xt_conntrack") && time.Since(since) > quiet
	})
}
