//go:build node

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startService starts ctkeeper as a service of the node, outside of containers, with a value for udp_timeout.
func (n *Node) startService(t *testing.T, udpTimeout string) *daemon {
	t.Helper()
	config := filepath.Join(work, "service.yaml")
	text := "settings: {udp_timeout: " + udpTimeout + "}\nenforcement: {resync: 1s}\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/var/lib/ctkeeper", 0o755); err != nil {
		t.Fatal(err)
	}
	service := &daemon{name: "service", argv: []string{
		filepath.Join(n.Programs.Keeper, "ctkeeper"), "run", "--config", config, "--log-format=console",
	}}
	n.daemons[service.name] = service
	if err := service.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if service.cmd.ProcessState == nil {
			_ = service.end(syscall.SIGTERM)
		}
	})
	return service
}

const (
	standby  = "another ctkeeper keeps the settings of this network namespace"
	takeover = "the other ctkeeper of this network namespace has ended"
)

// testServiceFirst: the service of a node is there before the pod and before kube-proxy, whose writes it repairs. The
// pod observes, and takes over when the service ends.
func testServiceFirst(t *testing.T, n *Node) {
	service := n.startService(t, "51")
	isService := isLive(t, map[string]string{"udp_timeout": "51"})
	Eventually(t, soon, "the service has applied its configuration", isService)
	n.startProxy(t, kubernetesVersion, noMax+", --conntrack-udp-timeout=25s")
	Eventually(t, 2*soon, "kube-proxy is ready", n.proxyIsReady(t, 0))
	Eventually(t, soon, "its write is repaired", isService)
	if log := service.tail(100); !strings.Contains(log, "udp_timeout was 25, wanted 51") {
		t.Errorf("the service does not report kube-proxy's write:\n%s", log)
	}
	n.upgrade(t, "--set", "config.enforcement.resync=1s")
	if log := n.logs(t); !strings.Contains(log, standby) {
		t.Errorf("the pod does not report the service:\n%s", log)
	}
	if out, _ := n.exec("status"); !strings.Contains(out, "another ctkeeper") { // it ends with 1: a setting differs
		t.Errorf("status of the pod does not report the service:\n%s", out)
	}
	if err := isService(); err != nil {
		t.Error(err)
	}
	if err := service.end(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	Eventually(t, soon, "the pod takes over", isLive(t, wanted))
	if log := n.logs(t); !strings.Contains(log, takeover) {
		t.Errorf("the pod does not report that it took over:\n%s", log)
	}
}

// testPodFirst: a service that is started beside the pod observes, and takes over when the pod is removed.
func testPodFirst(t *testing.T, n *Node) {
	service := n.startService(t, "52")
	Eventually(t, soon, "the service reports the pod", func() error {
		if log := service.tail(100); !strings.Contains(log, standby) {
			return errors.New(log)
		}
		return nil
	})
	if err := isLive(t, wanted)(); err != nil {
		t.Error(err)
	}
	n.uninstall(t)
	Eventually(t, soon, "the service takes over", isLive(t, map[string]string{"udp_timeout": "52"}))
}

// logs returns the log of the daemon in the pod.
func (n *Node) logs(t *testing.T) string {
	t.Helper()
	return n.Must(t, "logs", "-n", namespace, "daemonset/"+release, "-c", "ctkeeper")
}

// uninstall removes the release, and waits until the pods are gone.
func (n *Node) uninstall(t *testing.T) {
	t.Helper()
	if _, err := n.Helm("uninstall", release, "--namespace", namespace, "--wait"); err != nil {
		t.Fatal(err)
	}
	Eventually(t, soon, "the pods are gone", func() error {
		if pods := n.pods(t, namespace, "app.kubernetes.io/name=ctkeeper"); len(pods) > 0 {
			return fmt.Errorf("%+v", pods)
		}
		return nil
	})
}
