//go:build node

package node

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

// proxyPod is kube-proxy as kubeadm runs it: privileged, in the host's network. Its image has only the program, so that
// it uses the host's iptables. %[1]s is the version, %[2]s are more flags.
const proxyPod = `
apiVersion: v1
kind: Pod
metadata: {name: kube-proxy, namespace: kube-system, labels: {app: kube-proxy}}
spec:
  hostNetwork: true
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  tolerations: [{operator: Exists}]
  containers:
    - name: kube-proxy
      image: ` + registry + `/kube-proxy:%[1]s
      args: [--kubeconfig=` + kubeconfig + `, --hostname-override=` + nodeName + `, --proxy-mode=iptables, %[2]s]
      env: [{name: PATH, value: "/usr/sbin:/usr/bin:/sbin:/bin"}]
      securityContext: {privileged: true}
      readinessProbe: {httpGet: {host: 127.0.0.1, port: 10256, path: /livez}, periodSeconds: 1}
      volumeMounts:
        - {name: node, mountPath: ` + work + `, readOnly: true}
        - {name: usr, mountPath: /usr, readOnly: true}
        - {name: etc, mountPath: /etc, readOnly: true}
        - {name: lock, mountPath: /run/xtables.lock}
  volumes:
    - {name: node, hostPath: {path: ` + work + `}}
    - {name: usr, hostPath: {path: /usr}}
    - {name: etc, hostPath: {path: /etc}}
    - {name: lock, hostPath: {path: /run/xtables.lock, type: FileOrCreate}}
`

const (
	// noMax has kube-proxy leave max alone, which only the first network namespace can write: otherwise it ends.
	noMax = "--conntrack-max-per-core=0"
	// usualTimeouts are kube-proxy's defaults.
	usualTimeouts = "--conntrack-tcp-timeout-established=24h, --conntrack-tcp-timeout-close-wait=1h"
	// noTimeouts is what ctkeeper's documents recommend, with noMax.
	noTimeouts = "--conntrack-tcp-timeout-established=0s, --conntrack-tcp-timeout-close-wait=0s"
	proxyLabel = "app=kube-proxy"
)

// watching grants the guard its rights, and configures it.
func watching(mode string) []string {
	return []string{"--set", "guard.bpf=true,guard.perfmon=true,guard.podNames=true,config.guard=" + mode}
}

// startProxy starts kube-proxy in a pod until the test ends.
func (n *Node) startProxy(t *testing.T, version, flags string) {
	t.Helper()
	n.Apply(t, fmt.Sprintf(proxyPod, version, flags))
	t.Cleanup(func() { n.Must(t, "delete", "pod", "-n", "kube-system", "kube-proxy", "--grace-period=1") })
}

// proxyIsReady is a check that kube-proxy has programmed its rules, which it does after it has written its sysctls.
func (n *Node) proxyIsReady(t *testing.T, restarted int) func() error {
	return func() error {
		pods := n.pods(t, "kube-system", proxyLabel)
		if len(pods) != 1 || !pods[0].isReady() || restarts(pods[0]) != restarted {
			return fmt.Errorf("%+v", pods)
		}
		return nil
	}
}

// byProxy returns the settings that kube-proxy wrote, by the events of a kind.
func (n *Node) byProxy(t *testing.T, kind reconcile.Kind) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, e := range n.events(t) {
		if e.Kind == kind && e.By != nil && strings.Contains(e.By.String(), "kube-proxy") {
			found[e.Setting] = e.By.String()
		}
	}
	return found
}

// testProxyRepaired: what kube-proxy writes when it starts, and when it starts again, is repaired and named.
func testProxyRepaired(t *testing.T, n *Node) {
	for _, version := range []string{kubernetesVersion, laterProxy} {
		t.Run(version, func(t *testing.T) {
			n.upgrade(t, watching("watch")...)
			n.restartKeeper(t) // a history of its own
			n.startProxy(t, version, noMax+", "+usualTimeouts)
			Eventually(t, 2*soon, "kube-proxy is ready", n.proxyIsReady(t, 0))
			Eventually(t, soon, "its writes are repaired", isLive(t, wanted))
			named := n.byProxy(t, reconcile.KindDrift)
			for _, setting := range []string{"tcp_timeout_established", "tcp_timeout_close_wait"} {
				const pod = " of pod kube-system/kube-proxy)"
				if by := named[setting]; !strings.HasPrefix(by, "kube-proxy (pid ") || !strings.HasSuffix(by, pod) {
					t.Errorf("the writer of %s is %q, want kube-proxy%s", setting, by, pod)
				}
			}
			kill(t, "/kube-proxy", "--kubeconfig="+kubeconfig)
			Eventually(t, 2*soon, "kube-proxy is ready again", n.proxyIsReady(t, 1))
			Eventually(t, soon, "its writes are repaired again", isLive(t, wanted))
		})
	}
}

// testProxyHold: with the guard's hold nothing changes, and kube-proxy keeps running.
func testProxyHold(t *testing.T, n *Node) {
	n.upgrade(t, watching("hold")...)
	n.restartKeeper(t)
	n.startProxy(t, kubernetesVersion, noMax+", "+usualTimeouts)
	Eventually(t, 2*soon, "kube-proxy is ready", n.proxyIsReady(t, 0))
	if err := isLive(t, wanted)(); err != nil {
		t.Error(err)
	}
	absorbed := n.byProxy(t, reconcile.KindAbsorbedWrite)
	if absorbed["tcp_timeout_established"] == "" {
		t.Errorf("absorbed writes of kube-proxy: %v", absorbed)
	}
	if drifts := n.byProxy(t, reconcile.KindDrift); len(drifts) > 0 {
		t.Errorf("kube-proxy changed %v", drifts)
	}
}

// testProxyLock: with the guard's lock kube-proxy ends.
func testProxyLock(t *testing.T, n *Node) {
	n.upgrade(t, watching("lock")...)
	n.restartKeeper(t)
	n.startProxy(t, kubernetesVersion, noMax+", "+usualTimeouts)
	Eventually(t, 2*soon, "kube-proxy ends", func() error {
		pods := n.pods(t, "kube-system", proxyLabel)
		if len(pods) != 1 || restarts(pods[0]) == 0 {
			return fmt.Errorf("%+v", pods)
		}
		return nil
	})
	if err := isLive(t, wanted)(); err != nil {
		t.Error(err)
	}
	if refused := n.byProxy(t, reconcile.KindRefusedWrite); len(refused) == 0 {
		t.Error("no refused write of kube-proxy")
	}
}

// testProxyQuiet: with the recommended configuration kube-proxy writes none of the settings. That the guard sees such
// writes is what testProxyRepaired has shown.
func testProxyQuiet(t *testing.T, n *Node) {
	n.upgrade(t, watching("watch")...)
	n.restartKeeper(t)
	n.startProxy(t, kubernetesVersion, noMax+", "+noTimeouts)
	Eventually(t, 2*soon, "kube-proxy is ready", n.proxyIsReady(t, 0))
	for _, e := range n.events(t) {
		if e.By != nil {
			t.Errorf("%s", e.Message)
		}
	}
}

// testRace starts the pod and kube-proxy at the same time. Whoever is first, the configuration is applied in the end.
func testRace(t *testing.T, n *Node) {
	for setting, value := range map[string]string{"tcp_timeout_established": "432000", "tcp_timeout_close_wait": "60"} {
		if err := os.WriteFile(settingFile(setting), []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n.startProxy(t, kubernetesVersion, noMax+", "+usualTimeouts)
	n.upgrade(t, watching("watch")...)
	Eventually(t, 2*soon, "kube-proxy is ready", n.proxyIsReady(t, 0))
	Eventually(t, soon, "the configuration is applied", isLive(t, wanted))
}

// restartKeeper replaces the pod: the history of the new one is empty.
func (n *Node) restartKeeper(t *testing.T) {
	t.Helper()
	n.Must(t, "rollout", "restart", "-n", namespace, "daemonset/"+release)
	n.rolledOut(t)
}

// kill kills the process of a program with an argument.
func kill(t *testing.T, program, argument string) {
	t.Helper()
	if err := syscall.Kill(findProcess(t, program, argument), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
