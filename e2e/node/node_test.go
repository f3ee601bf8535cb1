//go:build node

package node

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// programsVariable has the programs as JSON, for the process in the namespaces.
const programsVariable = "CTKEEPER_NODE_PROGRAMS"

func TestMain(m *testing.M) { os.Exit(Main(m.Run)) }

// hostTools are the programs of this host that a node runs, each with its Debian package.
var hostTools = map[string]string{
	"etcd": "etcd-server", "containerd": "containerd", "runc": "runc", "ip": "iproute2", "iptables": "iptables",
}

// TestNode runs its scenarios, which are subtests, in one node. -run 'TestNode/NAME' selects.
func TestNode(t *testing.T) {
	if os.Getenv(roleVariable) == first {
		scenarios(t, begin(t))
		return
	}
	netns.RequireRoot(t)
	for tool, pkg := range hostTools {
		if _, err := exec.LookPath(tool); err != nil {
			netns.Cannot(t, "needs %s: apt-get install %s", tool, pkg)
		}
	}
	start := time.Now()
	programs, err := build("../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("programs after %s", time.Since(start))
	encoded, err := json.Marshal(programs)
	if err != nil {
		t.Fatal(err)
	}
	pattern := flag.Lookup("test.run").Value.String()
	if pattern == "" {
		pattern = "^TestNode$"
	}
	var out bytes.Buffer
	var to io.Writer = &out
	if testing.Verbose() {
		to = io.MultiWriter(&out, os.Stdout)
	}
	child, stop, err := startSupervisor(pattern, []string{programsVariable + "=" + string(encoded)}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	if err := child.Wait(); err != nil {
		t.Errorf("the node: %v", err)
		if !testing.Verbose() {
			t.Logf("%s", out.String())
		}
	} else if !bytes.Contains(out.Bytes(), []byte("--- PASS: TestNode ")) {
		t.Errorf("the scenarios did not run:\n%s", out.String())
	}
}

// begin starts the node in the namespaces of this process.
func begin(t *testing.T) *Node {
	t.Helper()
	var programs Programs
	if err := json.Unmarshal([]byte(os.Getenv(programsVariable)), &programs); err != nil {
		t.Fatal(err)
	}
	var writable []string
	if *update {
		docs, err := filepath.Abs("../../docs")
		if err != nil {
			t.Fatal(err)
		}
		writable = append(writable, docs)
	}
	if err := enter(writable); err != nil {
		t.Fatal(err)
	}
	return start(t, programs, os.Getenv(groupVariable))
}

// scenario is a test in the node. They run in their order, and those after the installation need its release.
type scenario struct {
	name string
	run  func(*testing.T, *Node)
}

func scenarios(t *testing.T, n *Node) {
	for _, s := range []scenario{
		{"dry run", testDryRun}, {"install", testInstall}, {"configuration", testConfiguration},
		{"readiness", testReadiness}, {"rollout", testRollout}, {"kubelet", testKubelet}, {"killed", testKilled},
		{"kube-proxy repaired", testProxyRepaired}, {"kube-proxy held", testProxyHold},
		{"kube-proxy locked", testProxyLock}, {"kube-proxy quiet", testProxyQuiet}, {"uninstall", testUninstall},
		{"kube-proxy and the pod at once", testRace}, {"pod before the service", testPodFirst},
		{"service before the pod", testServiceFirst}, {"removed", testUninstall}, {"documents", testDocuments},
		{"profiles", testProfiles},
	} {
		if !t.Run(s.name, func(t *testing.T) { s.run(t, n) }) && s.name == "install" {
			return
		}
	}
}
