//go:build node

package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testProfiles has nodes without a kubelet, for which the DaemonSet controller makes pods all the same: each gets the
// pod of one profile, also when its labels change.
func testProfiles(t *testing.T, n *Node) {
	const ns = "profiles"
	role, zone, gateway := "example.com/role: edge", "topology.kubernetes.io/zone: a", `example.com/gateway: "true"`
	virtual, linux := "example.com/virtual: yes-it-is", "kubernetes.io/os: linux"
	labels := map[string][]string{
		"both": {linux, role, zone, gateway}, "edge": {linux, role, zone}, "gateway": {linux, gateway},
		"other-zone": {linux, role}, "plain": {linux}, "virtual": {linux, virtual, gateway},
		"windows": {"kubernetes.io/os: windows", gateway},
	}
	manifests := ""
	for name, list := range labels {
		// The controller deletes a pod after a change of labels only if the pod was bound to the node, for which that
		// has to have room.
		manifests += fmt.Sprintf("apiVersion: v1\nkind: Node\nmetadata: {name: %s, labels: {%s}}\n"+
			"status: {allocatable: {cpu: 1, memory: 1Gi, pods: 9}, capacity: {cpu: 1, memory: 1Gi, pods: 9}}\n---\n",
			name, strings.Join(list, ", "))
	}
	n.Apply(t, manifests)
	defer n.Must(t, append([]string{"delete", "node"}, slices.Collect(maps.Keys(labels))...)...)
	_, err := n.Helm("install", ns, chart, "--namespace", ns, "--create-namespace", "--values",
		chart+"/ci/profiles-values.yaml", "--set-string", "image.repository="+registry+"/ctkeeper,image.tag=1")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"both": "edge", "edge": "edge", "gateway": "gateway", "other-zone": "default", "plain": "default",
		nodeName: "default",
	}
	isDistributed := func() error {
		if diff := cmp.Diff(want, n.profiles(t, ns)); diff != "" {
			return fmt.Errorf("profiles by node (-want +got):\n%s", diff)
		}
		return nil
	}
	Eventually(t, soon, "each node has the pod of its profile", isDistributed)
	n.Must(t, "label", "node", "plain", "example.com/gateway=true")
	n.Must(t, "label", "node", "both", "example.com/role-")
	want["plain"], want["both"] = "gateway", "gateway"
	Eventually(t, soon, "the pods follow the labels", isDistributed)
	if _, err := n.Helm("uninstall", ns, "--namespace", ns); err != nil {
		t.Error(err)
	}
	Eventually(t, soon, "the pods are deleted", func() error {
		if left := n.profiles(t, ns); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}

// profiles returns the profiles of a namespace's pods by the node for which the controller made them; several are
// joined. Pods that are being deleted are left out.
func (n *Node) profiles(t *testing.T, namespace string) map[string]string {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct {
				DeletionTimestamp string
				Labels            map[string]string
			}
			Spec struct {
				Affinity struct {
					NodeAffinity struct {
						Required struct {
							NodeSelectorTerms []struct{ MatchFields []struct{ Values []string } }
						} `json:"requiredDuringSchedulingIgnoredDuringExecution"`
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(n.Must(t, "get", "pods", "-n", namespace, "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, pod := range list.Items {
		if pod.Metadata.DeletionTimestamp != "" {
			continue
		}
		// ReplaceDaemonSetPodNodeNameNodeAffinity (pkg/controller/daemon/util) has the node as the only field.
		node := pod.Spec.Affinity.NodeAffinity.Required.NodeSelectorTerms[0].MatchFields[0].Values[0]
		found[node] = append(found[node], pod.Metadata.Labels["ctkeeper-profile"])
	}
	joined := map[string]string{}
	for node, names := range found {
		slices.Sort(names)
		joined[node] = strings.Join(names, " ")
	}
	return joined
}
