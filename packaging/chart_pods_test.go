package packaging

import (
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// podSpec is what these tests read of a pod.
type podSpec struct {
	HostNetwork, HostPID, HostIPC bool
	HostUsers                     *bool
	DNSPolicy, ServiceAccountName string
	AutomountServiceAccountToken  *bool
	PriorityClassName             string
	Tolerations                   []map[string]string
	NodeSelector                  map[string]string
	Affinity                      struct {
		NodeAffinity struct {
			Required struct{ NodeSelectorTerms []nodeTerm } `json:"requiredDuringSchedulingIgnoredDuringExecution"`
		}
	}
	InitContainers, Containers []container
	Volumes                    []volume
}

type container struct {
	Name, Image                                 string
	Command, Args                               []string
	SecurityContext                             map[string]any
	VolumeMounts                                []volumeMount
	StartupProbe, LivenessProbe, ReadinessProbe *probe
	Resources                                   struct{ Requests, Limits map[string]any }
	Env                                         []map[string]any
	Ports                                       []struct {
		Name                    string
		ContainerPort, HostPort int
	}
}

type probe struct {
	Exec    *struct{ Command []string }
	HTTPGet *struct{ Host, Port, Path string }
}

type volumeMount struct {
	Name, MountPath, SubPath, SubPathExpr string
	ReadOnly                              bool
}

type volume struct {
	Name      string
	EmptyDir  map[string]any
	HostPath  *struct{ Path, Type string }
	ConfigMap *struct {
		Name  string
		Items []struct{ Key, Path string }
	}
}

// pods returns the pods of the rendered DaemonSets by the name of their profile.
func pods(t *testing.T, args ...string) map[string]podSpec {
	t.Helper()
	found := map[string]podSpec{}
	for _, o := range render(t, args, "DaemonSet") {
		var set struct{ Template struct{ Spec podSpec } }
		decode(t, o.Spec, &set)
		found[o.Metadata.Labels["ctkeeper-profile"]] = set.Template.Spec
	}
	if len(found) == 0 {
		t.Fatal("no DaemonSet")
	}
	return found
}

// TestChartKinds: there are no roles, accounts or secrets, and nothing outside of the release's namespace.
func TestChartKinds(t *testing.T) {
	allowed := map[string]string{
		"ConfigMap": "v1", "DaemonSet": "apps/v1", "NetworkPolicy": "networking.k8s.io/v1", "Service": "v1",
		"PodMonitor": "monitoring.coreos.com/v1", "PrometheusRule": "monitoring.coreos.com/v1",
		"ServiceMonitor": "monitoring.coreos.com/v1",
	}
	seen := map[string]string{}
	for _, file := range ciFiles(t) {
		for _, o := range render(t, []string{"--values=" + file}) {
			seen[o.Kind] = o.APIVersion
			if o.Metadata.Namespace != "ctkeeper" {
				t.Errorf("%s: %s %s is in the namespace %q", file, o.Kind, o.Metadata.Name, o.Metadata.Namespace)
			}
		}
	}
	if diff := cmp.Diff(allowed, seen); diff != "" {
		t.Errorf("kinds (-allowed +rendered):\n%s", diff)
	}
	byDefault := render(t, []string{"--set=image.repository=x"})
	if len(byDefault) != 2 {
		t.Errorf("%d objects by default, want a ConfigMap and a DaemonSet: %+v", len(byDefault), byDefault)
	}
}

// confinement returns what a container may do.
func confinement(user, group int, capabilities ...any) map[string]any {
	allowed := map[string]any{"drop": []any{"ALL"}}
	if len(capabilities) > 0 {
		allowed["add"] = capabilities
	}
	return map[string]any{
		"runAsUser": float64(user), "runAsGroup": float64(group), "runAsNonRoot": user != 0, "privileged": false,
		"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": allowed,
		"seccompProfile": map[string]any{"type": "RuntimeDefault"},
	}
}

// TestChartConfinement checks each container of each values file, and what the pods share with the node.
func TestChartConfinement(t *testing.T) {
	spc := map[string]any{"type": "spc_t"}
	capabilities := map[string][]any{"guard": {"NET_ADMIN", "BPF", "PERFMON"}, "profiles/edge": {"NET_ADMIN", "BPF"}}
	eachCI(t, func(t *testing.T, file string) {
		name := strings.TrimSuffix(filepath.Base(file), "-values.yaml")
		for profile, spec := range pods(t, "--values="+file) {
			if !spec.HostNetwork || spec.HostPID || spec.HostIPC || spec.DNSPolicy != "Default" ||
				spec.ServiceAccountName != "" || spec.AutomountServiceAccountToken == nil ||
				*spec.AutomountServiceAccountToken {
				t.Errorf("%s: the pod is %+v", profile, spec)
			}
			keeper := []any{"NET_ADMIN"}
			for _, key := range []string{name, name + "/" + profile} {
				if more, ok := capabilities[key]; ok {
					keeper = more
				}
			}
			want := map[string]map[string]any{
				"ctkeeper": confinement(0, 9466, keeper...), "exporter": confinement(9466, 9466),
			}
			if name == "persist" {
				want["persist"] = confinement(0, 0)
			}
			got := map[string]map[string]any{}
			for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
				if name == "everything" {
					if diff := cmp.Diff(spc, c.SecurityContext["seLinuxOptions"]); diff != "" {
						t.Error(diff)
					}
					delete(c.SecurityContext, "seLinuxOptions")
				}
				got[c.Name] = c.SecurityContext
				if c.Resources.Limits["memory"] == nil || c.Resources.Requests["cpu"] == nil {
					t.Errorf("%s: resources %+v", c.Name, c.Resources)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", profile, diff)
			}
		}
	})
}

// TestChartMounts checks what each container sees of the node, and may write there.
func TestChartMounts(t *testing.T) {
	keeper := map[string]string{
		"/etc/ctkeeper": "ro config", "/run/ctkeeper": "rw run", "/var/lib/ctkeeper": "rw history",
		"/host/proc/sys/net": "rw /proc/sys/net", "/host/sys/module": "rw /sys/module",
	}
	exporter := map[string]string{"/run/ctkeeper": "ro run"}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(keeper)
		maps.Copy(all, more)
		return all
	}
	want := map[string]map[string]map[string]string{
		"default": {"ctkeeper": keeper, "exporter": exporter},
		"guard": {"exporter": exporter, "ctkeeper": with(map[string]string{
			"/sys/fs/cgroup": "ro /sys/fs/cgroup", "/var/log/pods": "ro /var/log/pods",
		})},
		"persist": {
			"exporter": exporter, "ctkeeper": with(map[string]string{"/var/lib/ctkeeper": "rw /var/lib/ctkeeper"}),
			"persist": {
				"/host/etc/ctkeeper": "ro config", "/host/etc/modprobe.d": "rw /etc/modprobe.d",
				"/host/etc/modules-load.d": "rw /etc/modules-load.d", "/host/lib/modules": "ro /lib/modules",
				"/host/proc/meminfo": "ro /proc/meminfo", "/host/sys/module": "ro /sys/module",
				"/host/proc/sys/kernel/osrelease": "ro /proc/sys/kernel/osrelease",
			},
		},
	}
	for name, containers := range want {
		spec := pods(t, "--values="+chartDir+"/ci/"+name+"-values.yaml")["default"]
		got := map[string]map[string]string{}
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			got[c.Name] = c.mounts(t, spec.Volumes)
		}
		if diff := cmp.Diff(containers, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// mounts returns the volumes of a container by their places, with the node's paths. subPath would keep the kubelet's
// updates away.
func (c container) mounts(t *testing.T, volumes []volume) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range c.VolumeMounts {
		if m.SubPath+m.SubPathExpr != "" {
			t.Errorf("%s: %s has a subPath", c.Name, m.MountPath)
		}
		at := slices.IndexFunc(volumes, func(v volume) bool { return v.Name == m.Name })
		if at < 0 {
			t.Fatalf("%s: no volume %s", c.Name, m.Name)
		}
		mode, source := "rw ", m.Name
		if m.ReadOnly {
			mode = "ro "
		}
		if host := volumes[at].HostPath; host != nil {
			source = host.Path
		}
		found[m.MountPath] = mode + source
	}
	return found
}

// TestChartProbes: liveness asks only whether the daemon answers, so that no drift restarts it.
func TestChartProbes(t *testing.T) {
	for listen, host := range map[string]string{"all": "", "node": "", "loopback": "127.0.0.1"} {
		spec := pods(t, "--set=image.repository=x,exporter.port=9999,exporter.listen="+listen)["default"]
		keeper, exporter := spec.Containers[0], spec.Containers[1]
		got := [][]string{
			keeper.StartupProbe.Exec.Command, keeper.LivenessProbe.Exec.Command, keeper.ReadinessProbe.Exec.Command,
		}
		alive := []string{"/usr/bin/ctkeeper", "status", "--alive"}
		want := [][]string{alive, alive, {"/usr/bin/ctkeeper", "status", "--ready"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ctkeeper (-want +got):\n%s", diff)
		}
		live, ready := exporter.LivenessProbe.HTTPGet, exporter.ReadinessProbe.HTTPGet
		if live.Host != host || ready.Host != host || live.Port != "metrics" || ready.Port != "metrics" ||
			live.Path != "/-/healthy" || ready.Path != "/-/ready" {
			t.Errorf("listening on %s: %+v, %+v", listen, live, ready)
		}
		if port := exporter.Ports[0]; port.ContainerPort != 9999 || port.HostPort != 9999 {
			t.Errorf("port %+v", port)
		}
		_, address, _ := strings.Cut(exporter.Args[0], "=")
		// As the kubelet expands it.
		listener, err := net.Listen("tcp", strings.Replace(strings.Replace(address, "$(NODE_IP)", "127.0.0.1", 1),
			":9999", ":0", 1))
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
		if isSet := len(exporter.Env) == 1; isSet != strings.Contains(address, "$(NODE_IP)") {
			t.Errorf("%s with the environment %v", address, exporter.Env)
		}
	}
}

// TestChartReload: another configuration changes the ConfigMap and no pod, so nothing restarts.
func TestChartReload(t *testing.T) {
	before := render(t, []string{"--set=image.repository=x,config.settings.max=100000"})
	after := render(t, []string{"--set=image.repository=x,config.settings.max=200000"})
	changed := map[string]bool{}
	for i, o := range before {
		changed[o.Kind] = !cmp.Equal(o, after[i])
	}
	if diff := cmp.Diff(map[string]bool{"ConfigMap": true, "DaemonSet": false}, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// TestChartImage: a digest wins over a tag, in every container.
func TestChartImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for set, want := range map[string]string{
		"":                                    "x/y:" + changelogVersion(t),
		"image.tag=v9":                        "x/y:v9",
		"image.digest=" + digest:              "x/y@" + digest,
		"image.tag=v9,image.digest=" + digest: "x/y@" + digest,
	} {
		spec := pods(t, "--set=persist.enabled=true,image.repository=x/y", "--set="+set)["default"]
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			if c.Image != want {
				t.Errorf("%s: %s has the image %s, want %s", set, c.Name, c.Image, want)
			}
		}
	}
}
