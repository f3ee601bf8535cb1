package render_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/render"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// whole is a configuration with every policy, kind and scope, and a text that each format must quote.
const whole = `settings:
  hashsize: 262144
  max: 1048576
  expect_max: 8192
  helper: false
  tcp_timeout_established: 24h
  tcp_timeout_close_wait: {at_most: 1h}
  tcp_be_liberal: true
  udp_timeout: 0
  udp_timeout_stream: {at_least: 180s}
  net.netfilter.nf_log.2: "a \"b\" ${c} \\ # 'd' $${e} ü\t#"
module:
  load: true
`

// hostile is the text in whole.
const hostile = "a \"b\" ${c} \\ # 'd' $${e} ü\t#"

// load returns the configuration of a text on a host with 16 GiB of memory.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	root := t.TempDir()
	kerneltree.Put(t, root, config.DefaultMain, text)
	kerneltree.Put(t, root, "proc/meminfo", "MemTotal: 16777216 kB\n")
	cfg, err := config.Source{Root: root}.Load()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func snippet(t *testing.T, target, text string, options render.Options) render.Snippet {
	t.Helper()
	s, err := render.New(target, load(t, text), options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnippets(t *testing.T) {
	atLoad := []config.Parameter{{Name: "hashsize", Value: "262144"}, {Name: "expect_hashsize", Value: "2048"}}
	for _, target := range render.Targets() {
		for _, agree := range []bool{false, true} {
			name := target
			if agree {
				name += "-agree"
			}
			s := snippet(t, target, whole, render.Options{Agree: agree, AtLoad: atLoad})
			if agree && s.Body == snippet(t, target, whole, render.Options{AtLoad: atLoad}).Body {
				continue // a target that can only agree
			}
			golden := filepath.Join("testdata", name+".golden")
			got := s.Comments() + s.Body
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// TestHarmlessWhenPasted: every line that is not the owner's configuration is a comment, whatever a file is named.
func TestHarmlessWhenPasted(t *testing.T) {
	for _, target := range render.Targets() {
		cfg := load(t, whole)
		cfg.Files = []string{"/etc/ctkeeper/conf.d/a\n$(reboot).yaml"}
		s, err := render.New(target, cfg, render.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(s.Comments()) {
			if !strings.HasPrefix(line, "# ") {
				t.Errorf("%s: not a comment: %q", target, line)
			}
		}
	}
}

// TestDefault: the embedded default has bounds alone. What sets one value would break them, so nothing is set; only
// kube-proxy, which lowers max, must leave it.
func TestDefault(t *testing.T) {
	bodies := map[string]string{
		render.Kubelet: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n" +
			"allowedUnsafeSysctls: []\n",
		render.KubeProxy: "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n" +
			"conntrack:\n  maxPerCore: 0\n  min: 0\n",
		render.Talos: "cluster:\n  proxy:\n    extraArgs:\n      conntrack-max-per-core: \"0\"\n" +
			"      conntrack-min: \"0\"\n",
	}
	for _, target := range render.Targets() {
		s := snippet(t, target, "module: {load: false}\n", render.Options{})
		if diff := cmp.Diff(bodies[target], s.Body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
}

func TestKubeProxyNeedsNoChange(t *testing.T) {
	s := snippet(t, render.KubeProxy, "settings: {expect_max: 8192}\n", render.Options{})
	if s.Body != "" || !strings.Contains(s.Comments(), "kube-proxy needs no change") {
		t.Errorf("%s%s", s.Comments(), s.Body)
	}
}

// TestKubeProxyMax: with --agree kube-proxy has max only where it sets exactly that, and no wrong hashsize.
func TestKubeProxyMax(t *testing.T) {
	const alone, set = "maxPerCore: 0\n  min: 0\n", "maxPerCore: 1\n  min: %\n"
	for text, want := range map[string]string{
		"{max: 524288}":                                  strings.Replace(set, "%", "524288", 1),
		"{max: 524288, hashsize: 131072}":                strings.Replace(set, "%", "524288", 1),
		"{max: 524288, hashsize: {at_least: 1024}}":      strings.Replace(set, "%", "524288", 1),
		"{max: 2147483647}":                              strings.Replace(set, "%", "2147483647", 1),
		"{max: auto}":                                    strings.Replace(set, "%", "698368", 1),
		"{max: 524288, hashsize: 65536}":                 alone, // it would raise hashsize to 131072
		"{max: 524288, hashsize: {at_most: 65536}}":      alone,
		"{max: 8192}":                                    alone, // of 9000 CPUs
		"{max: 0}":                                       alone,
		"{max: {at_least: 524288}}":                      alone,
		"{hashsize: 131072}":                             alone,
		"{tcp_timeout_established: 1h}":                  "conntrack:\n  tcpEstablishedTimeout: 1h0m0s\n",
		"{tcp_timeout_established: {at_most: 1h}}":       "conntrack:\n  tcpEstablishedTimeout: 0s\n",
		"{tcp_be_liberal: false, udp_timeout_stream: 5}": "udpStreamTimeout: 5s\n  tcpBeLiberal: false\n",
	} {
		s := snippet(t, render.KubeProxy, "settings: "+text+"\n", render.Options{Agree: true})
		if !strings.HasSuffix(s.Body, want) {
			t.Errorf("%s:\n%s%swant %s", text, s.Comments(), s.Body, want)
		}
		if isSaid := len(s.LeftOut) > 0; want == alone && strings.HasPrefix(text, "{max") && !isSaid {
			t.Errorf("%s: nothing tells why", text)
		}
	}
}

// TestQuoting decodes the text that is hostile to each format with a parser of the format.
func TestQuoting(t *testing.T) {
	const key = "net.netfilter.nf_log.2"
	var talos struct {
		Machine struct{ Sysctls map[string]string }
	}
	body := snippet(t, render.Talos, whole, render.Options{}).Body
	if err := yaml.Unmarshal([]byte(body), &talos); err != nil || talos.Machine.Sysctls[key] != hostile {
		t.Errorf("talos: %q, %v", talos.Machine.Sysctls[key], err)
	}
	for text, want := range map[string]string{
		whole: "", // its own template would not quote it
		"settings: {net.netfilter.nf_log.2: \"a 'b' ${c} # = ü\"}\n": "a 'b' ${c} # = ü",
	} {
		var bottlerocket struct {
			Settings struct {
				Kernel struct{ Sysctl map[string]string }
			}
		}
		body = snippet(t, render.Bottlerocket, text, render.Options{}).Body
		if err := toml.Unmarshal([]byte(body), &bottlerocket); err != nil {
			t.Error(err)
		}
		if got := bottlerocket.Settings.Kernel.Sysctl[key]; got != want {
			t.Errorf("bottlerocket: %q, want %q", got, want)
		}
	}
}

// TestNix evaluates the module of NixOS with Nix itself.
func TestNix(t *testing.T) {
	nix, err := exec.LookPath("nix-instantiate")
	if err != nil {
		netns.Cannot(t, "nix-instantiate is missing (Debian: nix-bin)")
	}
	atLoad := []config.Parameter{{Name: "hashsize", Value: "262144"}}
	s := snippet(t, render.NixOS, whole, render.Options{AtLoad: atLoad})
	file := filepath.Join(t.TempDir(), "ctkeeper.nix")
	if err := os.WriteFile(file, []byte(s.Comments()+s.Body), 0o644); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), nix, "--eval", "--strict", "--json", "--store", "dummy://", file)
	run.Env = append(os.Environ(), "HOME="+t.TempDir(), "NIX_STATE_DIR="+t.TempDir())
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Body)
	}
	want := `{"boot":{"extraModprobeConfig":"options nf_conntrack hashsize=262144\n","kernel":{"sysctl":{` +
		`"net.netfilter.nf_conntrack_buckets":262144,"net.netfilter.nf_conntrack_expect_max":8192,` +
		`"net.netfilter.nf_conntrack_helper":0,"net.netfilter.nf_conntrack_max":1048576,` +
		`"net.netfilter.nf_conntrack_tcp_be_liberal":1,"net.netfilter.nf_conntrack_tcp_timeout_established":86400,` +
		`"net.netfilter.nf_conntrack_udp_timeout":0,` +
		`"net.netfilter.nf_log.2":"a \"b\" ${c} \\ # 'd' $${e} ü\t#"}},"kernelModules":["nf_conntrack"]}}`
	if diff := cmp.Diff(want, strings.TrimSpace(string(out))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnknownTarget(t *testing.T) {
	if _, err := render.New("nosuch", load(t, whole), render.Options{}); err == nil {
		t.Error("no error")
	}
}
