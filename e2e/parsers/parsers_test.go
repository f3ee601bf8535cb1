package parsers

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	kubelet "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/render"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const (
	settings = `settings:
  hashsize: 262144
  max: 1048576
  tcp_timeout_established: 24h
  tcp_timeout_close_wait: 1h
  tcp_be_liberal: true
  udp_timeout: 25s
  udp_timeout_stream: 180s
  net.netfilter.nf_log.2: "a \"b\" ${c} \\ # 'd'"
`
	established = "net.netfilter.nf_conntrack_tcp_timeout_established"
)

// snippet returns what a file for the target has, comments included.
func snippet(t *testing.T, target string, agree bool) []byte {
	t.Helper()
	root := t.TempDir()
	kerneltree.Put(t, root, config.DefaultMain, settings)
	cfg, err := config.Source{Root: root}.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := render.New(target, cfg, render.Options{Agree: agree})
	if err != nil {
		t.Fatal(err)
	}
	if !s.HasComments() {
		return []byte(s.Body)
	}
	return []byte(s.Comments() + s.Body)
}

func TestKubeProxy(t *testing.T) {
	for _, agree := range []bool{false, true} {
		var c kubeproxy.KubeProxyConfiguration
		if err := yaml.UnmarshalStrict(snippet(t, render.KubeProxy, agree), &c); err != nil {
			t.Fatal(err)
		}
		got := c.Conntrack
		if c.APIVersion != kubeproxy.SchemeGroupVersion.String() || c.Kind != "KubeProxyConfiguration" ||
			got.MaxPerCore == nil || got.Min == nil || got.TCPEstablishedTimeout == nil ||
			got.TCPCloseWaitTimeout == nil {
			t.Fatalf("agree %t: an option has its default: %+v", agree, c)
		}
		want := []time.Duration{0, 0, 0, 0}
		perCore, least := int32(0), int32(0)
		if agree {
			want = []time.Duration{24 * time.Hour, time.Hour, 25 * time.Second, 3 * time.Minute}
			perCore, least = 1, 1048576
		}
		for i, is := range []time.Duration{got.TCPEstablishedTimeout.Duration, got.TCPCloseWaitTimeout.Duration,
			got.UDPTimeout.Duration, got.UDPStreamTimeout.Duration} {
			if is != want[i] {
				t.Errorf("agree %t: timeout %d is %s, want %s", agree, i, is, want[i])
			}
		}
		if *got.MaxPerCore != perCore || *got.Min != least || got.TCPBeLiberal != agree {
			t.Errorf("agree %t: maxPerCore %d, min %d, tcpBeLiberal %t", agree, *got.MaxPerCore, *got.Min,
				got.TCPBeLiberal)
		}
	}
}

func TestKubelet(t *testing.T) {
	for agree, most := range map[bool]int{false: 0, true: 5} {
		var c kubelet.KubeletConfiguration
		if err := yaml.UnmarshalStrict(snippet(t, render.Kubelet, agree), &c); err != nil {
			t.Fatal(err)
		}
		if c.APIVersion != kubelet.SchemeGroupVersion.String() || c.Kind != "KubeletConfiguration" ||
			len(c.AllowedUnsafeSysctls) != most || agree && c.AllowedUnsafeSysctls[0] != established {
			t.Errorf("agree %t: %+v", agree, c.AllowedUnsafeSysctls)
		}
	}
}

// TestTalos applies the patch to a machine configuration, as talosctl patch does; unknown fields are errors.
func TestTalos(t *testing.T) {
	patch, err := configpatcher.LoadPatch(snippet(t, render.Talos, false))
	if err != nil {
		t.Fatal(err)
	}
	base := []byte("version: v1alpha1\nmachine: {type: worker}\n" +
		"cluster: {controlPlane: {endpoint: 'https://x:6443'}}\n")
	out, err := configpatcher.Apply(configpatcher.WithBytes(base), []configpatcher.Patch{patch})
	if err != nil {
		t.Fatal(err)
	}
	provider, err := out.Config()
	if err != nil {
		t.Fatal(err)
	}
	patched := provider.RawV1Alpha1()
	sysctls := patched.Machine().Sysctls()
	for key, want := range map[string]string{
		established: "86400", "net.netfilter.nf_conntrack_buckets": "262144",
		"net.netfilter.nf_log.2": `a "b" ${c} \ # 'd'`,
	} {
		if sysctls[key] != want {
			t.Errorf("%s is %q, want %q", key, sysctls[key], want)
		}
	}
	args := patched.Cluster().Proxy().ExtraArgs()
	for flag, want := range map[string]string{
		"conntrack-max-per-core": "0", "conntrack-tcp-timeout-close-wait": "0s", "conntrack-tcp-be-liberal": "false",
	} {
		if got := args[flag]; len(got) != 1 || got[0] != want {
			t.Errorf("--%s is %v, want %s", flag, got, want)
		}
	}
}

// TestTuning lets the plugin itself write the sysctls of a network namespace.
func TestTuning(t *testing.T) {
	tuning := filepath.Join(t.TempDir(), "tuning")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", tuning,
		"github.com/containernetworking/plugins/plugins/meta/tuning")
	if out, err := build.CombinedOutput(); err != nil { // before Enter: no network is there
		t.Fatalf("%v\n%s", err, out)
	}
	if !netns.Enter(t) {
		return
	}
	list := `{"cniVersion": "1.0.0", "name": "net", "plugins": [` + string(snippet(t, render.CNITuning, false)) + `]}`
	network, err := libcni.ConfListFromBytes([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	var conf map[string]any
	if err := json.Unmarshal(network.Plugins[0].Bytes, &conf); err != nil {
		t.Fatal(err)
	}
	conf["cniVersion"], conf["name"] = network.CNIVersion, network.Name
	conf["prevResult"] = map[string]any{"cniVersion": "1.0.0", "interfaces": []any{}, "ips": []any{}}
	in, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	plugin := exec.CommandContext(t.Context(), tuning)
	plugin.Env = append(os.Environ(), "CNI_COMMAND=ADD", "CNI_CONTAINERID=c", "CNI_IFNAME=lo", "CNI_PATH=/",
		"CNI_NETNS=/proc/"+strconv.Itoa(os.Getpid())+"/ns/net")
	plugin.Stdin = bytes.NewReader(in)
	plugin.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET} // it refuses to be in the pod's
	if out, err := plugin.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for key, want := range conf["sysctl"].(map[string]any) {
		is, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
		if err != nil || strings.TrimSpace(string(is)) != want {
			t.Errorf("%s is %q, want %q (%v)", key, is, want, err)
		}
	}
}
