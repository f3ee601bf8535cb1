//go:build node

package node

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// operatorKinds are the kinds of the Prometheus operator that the chart has.
var operatorKinds = []string{"PodMonitor", "ServiceMonitor", "PrometheusRule"}

// testDryRun has the API server validate whatever the chart renders for its values files, and the plain manifests.
func testDryRun(t *testing.T, n *Node) {
	for _, kind := range operatorKinds {
		plural := strings.ToLower(kind) + "s"
		n.Must(t, "create", "-f", n.Programs.CRDs+"/monitoring.coreos.com_"+plural+".yaml")
		Eventually(t, soon, kind+" is served", func() error {
			_, err := n.Kubectl("get", strings.ToLower(kind)+"s.monitoring.coreos.com", "--all-namespaces")
			return err
		})
	}
	validate := func(t *testing.T, manifests string) {
		t.Helper()
		out, err := n.kubectl(manifests, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, "daemonset.apps/") {
			t.Errorf("no DaemonSet in:\n%s", out)
		}
	}
	rendered := map[string]string{}
	files, err := filepath.Glob(chart + "/ci/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out, err := n.Helm("template", release, chart, "-f", file, "--kube-version", kubernetesVersion)
			if err != nil {
				t.Fatal(err)
			}
			rendered[file] = out
			validate(t, out)
		})
	}
	plain, err := filepath.Glob("../../packaging/kubernetes/*.yaml")
	if err != nil || len(plain) == 0 {
		t.Fatalf("no plain manifests: %v", err)
	}
	for _, file := range plain {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// A dry run makes no namespace, and refuses what is in one that does not exist.
			n.Must(t, "create", "namespace", "ctkeeper")
			defer n.Must(t, "delete", "namespace", "ctkeeper")
			validate(t, string(text))
		})
	}
	t.Run("an unknown field is refused", func(t *testing.T) {
		wrong := strings.Replace(rendered[files[0]], "hostNetwork:", "hostNetwrok:", 1)
		if _, err := n.kubectl(wrong, "apply", "--dry-run=server", "--validate=strict", "-f", "-"); err == nil {
			t.Error("hostNetwrok is accepted")
		}
	})
}

// testInstall installs the release. The pods are ready, apply the configuration, and keep it applied.
func testInstall(t *testing.T, n *Node) {
	n.upgrade(t)
	Eventually(t, soon, "the configuration is applied", isLive(t, wanted))
	isKept(t)
	for path, want := range map[string]string{
		"/-/ready": "", "/-/healthy": "", "/metrics": `ctkeeper_setting_in_sync{setting="udp_timeout"} 1`,
	} {
		response, err := http.Get("http://" + address + ":9466" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s\n%s", path, response.Status, body)
		}
	}
}

// testConfiguration changes the ConfigMap: the daemon reloads, and no container restarts.
func testConfiguration(t *testing.T, n *Node) {
	before := n.keeper(t)
	n.upgrade(t, "--set", "config.settings.udp_timeout=46")
	Eventually(t, 2*soon, "the new value is applied", isLive(t, map[string]string{"udp_timeout": "46"}))
	after := n.keeper(t)
	if before.Metadata.UID != after.Metadata.UID || restarts(after) != restarts(before) {
		t.Errorf("the pod was restarted: %+v, was %+v", after, before)
	}
	n.upgrade(t)
	Eventually(t, 2*soon, "the old value is back", isLive(t, wanted))
}

func restarts(p pod) (sum int) {
	for _, c := range p.Status.ContainerStatuses {
		sum += c.RestartCount
	}
	return sum
}

// testReadiness: a setting that cannot be written makes the pod unready, and restarts nothing. Only the first network
// namespace can write max.
func testReadiness(t *testing.T, n *Node) {
	before := n.keeper(t)
	n.upgrade(t, "--set", "config.settings.max=12345")
	Eventually(t, 3*soon, "the pod is not ready", func() error {
		if p := n.keeper(t); p.isReady() {
			return errors.New("it is ready")
		}
		return nil
	})
	if out, err := n.exec("status", "--ready"); err == nil || !strings.Contains(out+err.Error(), "max") {
		t.Errorf("status --ready: %v\n%s", err, out)
	}
	if out, err := n.exec("status", "--alive"); err != nil {
		t.Errorf("status --alive: %v\n%s", err, out)
	}
	n.upgrade(t)
	Eventually(t, 3*soon, "the pod is ready", func() error {
		if p := n.keeper(t); !p.isReady() {
			return errors.New("it is not ready")
		}
		return nil
	})
	if after := n.keeper(t); restarts(after) != restarts(before) || after.Metadata.UID != before.Metadata.UID {
		t.Errorf("a container was restarted: %+v, was %+v", after, before)
	}
}

// testRollout upgrades to another image and rolls back.
func testRollout(t *testing.T, n *Node) {
	before := n.keeper(t)
	n.upgrade(t, "--set-string", "image.tag=2")
	upgraded := n.keeper(t)
	if upgraded.Metadata.UID == before.Metadata.UID {
		t.Error("the pod was not replaced")
	}
	isKept(t)
	if _, err := n.Helm("rollback", release, "--namespace", namespace); err != nil {
		t.Fatal(err)
	}
	n.rolledOut(t)
	image := n.Must(t, "get", "pods", "-n", namespace, "-o", "jsonpath={.items[0].spec.containers[0].image}")
	if image != registry+"/ctkeeper:1" {
		t.Errorf("after the rollback the pod runs %s", image)
	}
	isKept(t)
}

// testKubelet: the pod outlives its kubelet.
func testKubelet(t *testing.T, n *Node) {
	before := n.keeper(t)
	kubelet := n.daemons["kubelet"]
	if err := kubelet.end(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	isKept(t)
	if err := kubelet.start(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, soon, "the kubelet answers", func() error {
		_, err := n.exec("version")
		return err
	})
	if after := n.keeper(t); restarts(after) != restarts(before) || after.Metadata.UID != before.Metadata.UID {
		t.Errorf("the pod was restarted: %+v, was %+v", after, before)
	}
}

// testKilled: the kubelet restarts a container whose daemon was killed.
func testKilled(t *testing.T, n *Node) {
	before := n.keeper(t)
	kill(t, "/usr/bin/ctkeeper", "run")
	Eventually(t, 2*soon, "the container is ready again", func() error {
		after := n.keeper(t)
		if restarts(after) == restarts(before) || !after.isReady() {
			return fmt.Errorf("%+v", after)
		}
		return nil
	})
	isKept(t)
}

// testUninstall removes the release. The kernel keeps the values.
func testUninstall(t *testing.T, n *Node) {
	n.uninstall(t)
	if err := isLive(t, wanted)(); err != nil {
		t.Error(err)
	}
}
