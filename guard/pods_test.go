package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestParsePodLogs(t *testing.T) {
	for name, want := range map[string]string{
		"kube-system_kube-proxy-x7k2p_" + uid:       "kube-system/kube-proxy-x7k2p",
		"kube-system_etcd-node1.example_" + static:  "kube-system/etcd-node1.example",
		"kube-system_kube-proxy_" + uidSlice:        "",
		"kube-system_kube-proxy_x_" + uid:           "",
		"kube-system_" + uid:                        "",
		"_kube-proxy_" + uid:                        "",
		"kube-system__" + uid:                       "",
		"kube-system_kube-proxy_":                   "",
		"kube-system_kube-proxy_" + uid + "0":       "",
		"Kube_proxy_" + uid:                         "",
		"a_\x1b[31m_" + uid:                         "",
		strings.Repeat("a", 64) + "_b_" + uid:       "",
		"a_" + strings.Repeat("b", 254) + "_" + uid: "",
		"": "",
	} {
		_, pod, ok := parsePodLogs(name)
		if got := strings.Trim(pod.namespace+"/"+pod.name, "/"); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", name, got, ok, want)
		}
	}
}

func FuzzParsePodLogs(f *testing.F) {
	f.Add("kube-system_kube-proxy-x7k2p_" + uid)
	f.Add("kube-system_etcd-node1_" + static)
	f.Fuzz(func(t *testing.T, name string) {
		uid, pod, ok := parsePodLogs(name)
		if ok && pod.namespace+"_"+pod.name+"_"+uid != name || !ok && (uid != "" || pod != podName{}) {
			t.Errorf("%q: %q, %+v", name, uid, pod)
		}
		if strings.ContainsFunc(pod.namespace+pod.name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q: %+q", name, pod)
		}
	})
}

// TestPodNames finds the pods of both of kubelet's cgroup drivers, static ones, and those that are started later.
func TestPodNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPods()
		p.dir = t.TempDir()
		nameOf := func(path string) string {
			w := parsePath(path)
			p.name(&w)
			return strings.Trim(w.PodNamespace+"/"+w.PodName, "/")
		}
		add := func(name string) {
			if err := os.Mkdir(filepath.Join(p.dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		systemd := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uidSlice + ".slice/" +
			"cri-containerd-" + id1 + ".scope"
		cgroupfs := "/kubepods/burstable/pod" + uid + "/" + id2
		mirror := "/kubepods.slice/kubepods-pod" + static + ".slice/crio-" + id1 + ".scope"
		add("kube-system_kube-proxy-x7k2p_" + uid)
		got := map[string]string{"systemd": nameOf(systemd), "cgroupfs": nameOf(cgroupfs), "static": nameOf(mirror)}
		want := map[string]string{"systemd": "kube-system/kube-proxy-x7k2p", "cgroupfs": "kube-system/kube-proxy-x7k2p",
			"static": ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		add("kube-system_etcd-node1_" + static)
		if got := nameOf(mirror); got != "" {
			t.Errorf("an unknown pod was looked for again at once: %s", got)
		}
		time.Sleep(podsRest)
		if got := nameOf(mirror); got != "kube-system/etcd-node1" {
			t.Errorf("a pod that was started later is %q", got)
		}
		if got := nameOf("/system.slice/sshd.service"); got != "" {
			t.Errorf("a service is in pod %q", got)
		}
		if err := os.Remove(filepath.Join(p.dir, "kube-system_kube-proxy-x7k2p_"+uid)); err != nil {
			t.Fatal(err)
		}
		if got := nameOf(systemd); got != "kube-system/kube-proxy-x7k2p" {
			t.Errorf("a pod that has ended is %q", got)
		}
	})
}

// TestManyPods has more directories than are kept.
func TestManyPods(t *testing.T) {
	p := newPods()
	p.dir = t.TempDir()
	for i := range maxPods + 100 {
		if err := os.Mkdir(filepath.Join(p.dir, fmt.Sprintf("a_b%d_%032x", i, i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		p.next = time.Time{}
		w := sysfs.Writer{Pod: uid}
		p.name(&w)
		if w.PodName != "" || len(p.names) != maxPods {
			t.Fatalf("%q, %d names; want %d", w.PodName, len(p.names), maxPods)
		}
	}
}

// TestPodFeature has the guard in a pod without the kubelet's directory, on a host, and with the directory.
func TestPodFeature(t *testing.T) {
	for _, test := range []struct {
		name, dir, host string
		want            bool
		missing         int
	}{
		{"a pod without it", "/no/such", "10.96.0.1", false, 1},
		{"a host without it", "/no/such", "", false, 0},
		{"a pod with it", t.TempDir(), "10.96.0.1", true, 0},
	} {
		t.Setenv("KUBERNETES_SERVICE_HOST", test.host)
		g := newGuard()
		g.pods.dir = test.dir
		g.addMissingPods()
		if g.features.Pod != test.want || len(g.features.Missing) != test.missing {
			t.Errorf("%s: %+v", test.name, g.features)
		}
	}
}
