package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	work       = "/run/node"
	kubeconfig = work + "/kubeconfig"
	registry   = "127.0.0.1:15000"
	etcdURL    = "http://127.0.0.1:12379"
	apiServer  = "https://127.0.0.1:16443"
	tokens     = "token,admin,1,\"system:masters\"\n"
	nodeName   = "node1"
	upTimeout  = 60 * time.Second
)

// kubeconfigText is that of an administrator. The API server makes a certificate of its own.
const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "` + apiServer + `", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: token}}]
contexts: [{name: node, context: {cluster: node, user: admin}}]
current-context: node
`

// containerdConfig: the pause image is the test's own. restrict_oom_score_adj is for hosts without CAP_SYS_RESOURCE.
const containerdConfig = `version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
 restrict_oom_score_adj = true
 disable_apparmor = true
 sandbox_image = "` + registry + `/pause:1"
 [plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "` + work + `/cni"
  bin_dir = "` + work + `/cni"
 [plugins."io.containerd.grpc.v1.cri".registry.mirrors."` + registry + `"]
  endpoint = ["http://` + registry + `"]
`

// kubeletConfig returns the configuration of a kubelet that makes its control groups below one of the node's.
func kubeletConfig(group string) map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"enabled": false},
		},
		"authorization": map[string]any{"mode": "AlwaysAllow"},
		"address":       address, "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + group, "failCgroupV1": false,
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock", "failSwapOn": false,
		"volumePluginDir":               "/var/lib/kubelet/plugins",
		"evictionHard":                  map[string]any{"memory.available": "50Mi"},
		"localStorageCapacityIsolation": false, "imageGCHighThresholdPercent": 100, "syncFrequency": "1s",
	}
}

// A Node is a running node with its cluster.
type Node struct {
	Programs Programs
	daemons  map[string]*daemon
}

// start starts everything, and returns when the node is registered.
func start(t testing.TB, programs Programs, group string) *Node {
	t.Helper()
	n := &Node{Programs: programs, daemons: map[string]*daemon{}}
	t.Cleanup(func() {
		if t.Failed() {
			n.logTails(t)
		}
	})
	if err := errors.Join(os.MkdirAll("/var/lib/kubelet", 0o755), writeFiles(group)); err != nil {
		t.Fatal(err)
	}
	key := work + "/sa.key"
	n.run(t, "etcd", "etcd", "--data-dir="+work+"/etcd", "--listen-client-urls="+etcdURL, "--unsafe-no-fsync",
		"--advertise-client-urls="+etcdURL, "--listen-peer-urls=http://127.0.0.1:12380",
		"--initial-advertise-peer-urls=http://127.0.0.1:12380", "--initial-cluster=default=http://127.0.0.1:12380")
	n.run(t, "kube-apiserver", programs.Kubernetes["kube-apiserver"], "--etcd-servers="+etcdURL,
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key,
		"--service-account-signing-key-file="+key, "--token-auth-file="+work+"/tokens.csv", "--cert-dir="+work+"/certs",
		"--authorization-mode=Node,RBAC", "--secure-port=16443", "--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP")
	n.run(t, "registry", programs.Crane, "registry", "serve", "--address", registry)
	n.run(t, "containerd", "containerd", "--config", work+"/containerd.toml")
	n.pushImages(t)
	Eventually(t, upTimeout, "the API server is ready", func() error {
		_, err := n.Kubectl("get", "--raw=/readyz")
		return err
	})
	n.run(t, "kube-controller-manager", programs.Kubernetes["kube-controller-manager"], "--kubeconfig="+kubeconfig,
		"--service-account-private-key-file="+key, "--use-service-account-credentials=true", "--leader-elect=false",
		"--root-ca-file="+work+"/certs/apiserver.crt", "--cert-dir="+work+"/certs-controller",
		"--bind-address=127.0.0.1")
	n.run(t, "kube-scheduler", programs.Kubernetes["kube-scheduler"], "--kubeconfig="+kubeconfig,
		"--leader-elect=false", "--bind-address=127.0.0.1", "--cert-dir="+work+"/certs-scheduler")
	n.run(t, "kubelet", programs.Kubernetes["kubelet"], "--config="+work+"/kubelet.json", "--kubeconfig="+kubeconfig,
		"--hostname-override="+nodeName, "--node-ip="+address, "--root-dir=/var/lib/kubelet")
	for what, resource := range map[string][]string{
		"the node is registered": {"node", nodeName},
		"pods can be made":       {"serviceaccount", "default", "-n", "kube-system"},
	} {
		Eventually(t, upTimeout, what, func() error {
			_, err := n.Kubectl(append([]string{"get"}, resource...)...)
			return err
		})
	}
	return n
}

// run starts a program of the node.
func (n *Node) run(t testing.TB, name string, argv ...string) {
	t.Helper()
	d := &daemon{name: name, argv: argv}
	n.daemons[name] = d
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
}

func (n *Node) logTails(t testing.TB) {
	for name, d := range n.daemons {
		t.Logf("end of the log of %s:\n%s", name, d.tail(15))
	}
}

// writeFiles writes the files that the programs read.
func writeFiles(group string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return err
	}
	config, err := json.Marshal(kubeletConfig(group))
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"sa.key":     string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"tokens.csv": tokens, "kubeconfig": kubeconfigText, "kubelet.json": string(config),
		"containerd.toml": containerdConfig,
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Kubectl runs kubectl as the administrator.
func (n *Node) Kubectl(args ...string) (string, error) { return n.kubectl("", args...) }

func (n *Node) kubectl(input string, args ...string) (string, error) {
	return command(input, []string{"KUBECONFIG=" + kubeconfig, "HOME=" + work},
		append([]string{n.Programs.Kubernetes["kubectl"]}, args...)...)
}

// Apply applies manifests.
func (n *Node) Apply(t testing.TB, manifests string) {
	t.Helper()
	if _, err := n.kubectl(manifests, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// Must is Kubectl for a command whose failure is the test's.
func (n *Node) Must(t testing.TB, args ...string) string {
	t.Helper()
	out, err := n.Kubectl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// Helm runs helm as the administrator.
func (n *Node) Helm(args ...string) (string, error) {
	home := work + "/helm"
	out, err := command("", []string{
		"KUBECONFIG=" + kubeconfig, "HOME=" + work, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home,
		"HELM_DATA_HOME=" + home,
	}, append([]string{n.Programs.Helm}, args...)...)
	if err != nil {
		return out, fmt.Errorf("helm: %w", err)
	}
	return out, nil
}
