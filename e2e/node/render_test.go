//go:build node

package node

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/e2e/rig"
	"github.com/ctkeeper/ctkeeper/explain/render"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// proxyConfig is a configuration of all that kube-proxy sets; max cannot be written in this network namespace.
const proxyConfig = `settings:
  max: {at_least: 65536}
  tcp_timeout_established: 3h
  tcp_timeout_close_wait: 2h
  tcp_be_liberal: true
  udp_timeout: 25s
  udp_timeout_stream: 190s
`

const fakeKubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://` + rig.KubeAPIAddress + `"}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
current-context: x
`

// TestRenderedKubeProxy starts kube-proxy with what ctkeeper render kube-proxy prints, as --config. It writes nothing;
// with --agree it writes ctkeeper's values. It ends after its sysctls (--init-only).
func TestRenderedKubeProxy(t *testing.T) {
	programs := map[string]string{}
	for _, release := range []string{kubernetesVersion, laterProxy} { // before Enter: no network is there
		files, err := rig.Kubernetes(release, "kube-proxy")
		if err != nil {
			t.Fatal(err)
		}
		programs[release] = files["kube-proxy"]
	}
	if !netns.Enter(t) {
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stop, err := rig.ServeKubeAPI()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	root := t.TempDir()
	kerneltree.Put(t, root, config.DefaultMain, proxyConfig)
	cfg, err := config.Source{Root: root}.Load()
	if err != nil {
		t.Fatal(err)
	}
	before := proxySettings(t, cfg)
	agreed := maps.Clone(before)
	for name := range agreed {
		want, _ := cfg.Want(name)
		agreed[name] = want.Value.String()
	}
	for release, program := range programs {
		for agree, after := range map[bool]map[string]string{false: before, true: agreed} {
			for name, value := range before {
				err := os.WriteFile("/"+sysfs.Lookup(name).File(), []byte(value), 0o644) // of this network namespace
				if err != nil {
					t.Fatal(err)
				}
			}
			runProxy(t, program, cfg, agree)
			if diff := cmp.Diff(after, proxySettings(t, cfg)); diff != "" {
				t.Errorf("kube-proxy %s, agree %t (-want +got):\n%s", release, agree, diff)
			}
		}
	}
}

// runProxy runs kube-proxy until it has set its sysctls.
func runProxy(t *testing.T, program string, cfg *config.Config, agree bool) {
	t.Helper()
	s, err := render.New(render.KubeProxy, cfg, render.Options{Agree: agree})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kerneltree.Put(t, dir, "kubeconfig", fakeKubeconfig)
	kerneltree.Put(t, dir, "config.conf", s.Comments()+s.Body+
		"mode: iptables\nclientConnection:\n  kubeconfig: "+filepath.Join(dir, "kubeconfig")+"\n")
	proxy := exec.CommandContext(t.Context(), program, "--config="+filepath.Join(dir, "config.conf"), "--init-only",
		"--hostname-override=node1")
	if out, err := proxy.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// proxySettings returns the live values of the wanted settings, but for max.
func proxySettings(t *testing.T, cfg *config.Config) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, want := range cfg.Wants {
		if want.Setting.Global {
			continue
		}
		text, err := os.ReadFile("/" + want.Setting.File())
		if err != nil {
			t.Fatal(err)
		}
		values[want.Setting.Name] = strings.TrimSpace(string(text))
	}
	return values
}
