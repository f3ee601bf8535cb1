//go:build node

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

const (
	chart     = "../../packaging/helm/ctkeeper"
	release   = "ctkeeper"
	namespace = "ctkeeper-system"
	soon      = 30 * time.Second
)

// values are those of the tests: the image in the node's registry, and settings that this namespace can write.
const values = `
image: {repository: ` + registry + `/ctkeeper, tag: "1"}
config:
  settings:
    tcp_timeout_established: 7200
    tcp_timeout_close_wait: 70
    udp_timeout: 45
    udp_timeout_stream: 150
    tcp_be_liberal: false
`

// pod is what the tests need of a pod.
type pod struct {
	Metadata struct{ Name, UID string }
	Status   struct {
		Phase             string
		ContainerStatuses []struct {
			Name, ContainerID string
			Ready             bool
			RestartCount      int
		}
	}
}

func (p pod) isReady() bool {
	for _, c := range p.Status.ContainerStatuses {
		if !c.Ready {
			return false
		}
	}
	return len(p.Status.ContainerStatuses) > 0
}

// pods returns the pods of a namespace that a selector selects.
func (n *Node) pods(t *testing.T, namespace, selector string) []pod {
	t.Helper()
	var list struct{ Items []pod }
	text := n.Must(t, "get", "pods", "-n", namespace, "-l", selector, "-o", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// keeper returns the one pod of the release.
func (n *Node) keeper(t *testing.T) pod {
	t.Helper()
	pods := n.pods(t, namespace, "app.kubernetes.io/name=ctkeeper")
	if len(pods) != 1 {
		t.Fatalf("%d pods of the chart: %+v", len(pods), pods)
	}
	return pods[0]
}

// upgrade installs or upgrades the release with the tests' values and more, and returns when the pods are ready.
func (n *Node) upgrade(t *testing.T, more ...string) {
	t.Helper()
	file := filepath.Join(work, "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"upgrade", "--install", release, chart, "--namespace", namespace, "--create-namespace", "-f", file}
	if _, err := n.Helm(append(args, more...)...); err != nil {
		t.Fatal(err)
	}
	n.rolledOut(t)
}

func (n *Node) rolledOut(t *testing.T) {
	t.Helper()
	begin := time.Now()
	if _, err := n.Kubectl("rollout", "status", "-n", namespace, "daemonset/"+release, "--timeout=60s"); err != nil {
		described, _ := n.Kubectl("describe", "pods", "-n", namespace)
		logs, _ := n.Kubectl("logs", "-n", namespace, "daemonset/"+release, "-c", "ctkeeper")
		t.Fatalf("%v\n%s\n%s", err, described, logs)
	}
	t.Logf("rolled out after %.1f s", time.Since(begin).Seconds())
}

// exec runs ctkeeper in the pod.
func (n *Node) exec(args ...string) (string, error) {
	command := []string{"exec", "-n", namespace, "daemonset/" + release, "-c", "ctkeeper", "--", "/usr/bin/ctkeeper"}
	return n.Kubectl(append(command, args...)...)
}

// events returns the events of the daemon in the pod.
func (n *Node) events(t *testing.T) []reconcile.Event {
	t.Helper()
	out, err := n.exec("events", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var list []reconcile.Event
	for line := range strings.Lines(out) {
		var e reconcile.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		list = append(list, e)
	}
	return list
}

func settingFile(setting string) string { return "/proc/sys/net/netfilter/nf_conntrack_" + setting }

// live returns the kernel's value of a setting.
func live(t *testing.T, setting string) string {
	t.Helper()
	value, err := os.ReadFile(settingFile(setting))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// isLive returns a check that settings have values, for Eventually.
func isLive(t *testing.T, want map[string]string) func() error {
	return func() (err error) {
		for setting, value := range want {
			if got := live(t, setting); got != value {
				err = errors.Join(err, fmt.Errorf("%s is %s, want %s", setting, got, value))
			}
		}
		return err
	}
}

// wanted are the values of the configuration.
var wanted = map[string]string{
	"tcp_timeout_established": "7200", "tcp_timeout_close_wait": "70", "udp_timeout": "45", "udp_timeout_stream": "150",
	"tcp_be_liberal": "0",
}

// isKept checks that a foreign write is repaired, at once or at the latest by the resync.
func isKept(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(settingFile("udp_timeout"), []byte("33"), 0o644); err != nil {
		t.Fatal(err)
	}
	Eventually(t, soon, "a foreign write is repaired", isLive(t, wanted))
}

// findProcess returns the process id of a program with an argument. The node has only its own processes.
func findProcess(t *testing.T, program, argument string) int {
	t.Helper()
	for _, p := range process.List(tree.At("/")) {
		if p.Args[0] == program && slices.Contains(p.Args, argument) {
			return p.PID
		}
	}
	t.Fatalf("no process %s %s", program, argument)
	return 0
}
