package render

import (
	"strings"
)

// kubelet writes a part of a KubeletConfiguration. The kubelet sets no conntrack setting itself; what it decides is
// which sysctls a pod may set in its own network namespace (pkg/kubelet/sysctl).
func (w *writer) kubelet() (string, error) {
	w.note("The kubelet sets no conntrack setting itself, and protectKernelDefaults is about others. A pod on the")
	w.note("host's network cannot set one by securityContext.sysctls, whatever allowedUnsafeSysctls has. Other pods")
	w.note("can set those of their own network namespace, which ctkeeper does not keep, if the list allows it.")
	allowed := []string{}
	if w.options.Agree {
		wants := w.podSettings()
		w.note("With this list a pod can set the same values as ctkeeper. In its spec:")
		w.note("  securityContext:")
		w.note("    sysctls:")
		for _, want := range wants {
			name := want.Setting.Sysctl()
			allowed = append(allowed, name)
			w.note(`    - {name: %s, value: "%s"}`, name, want.Value)
		}
	} else {
		w.note("With the empty list, which is the default, a pod can set none.")
	}
	w.note("Merge it into the kubelet's configuration, /var/lib/kubelet/config.yaml in clusters of kubeadm, and")
	w.note("restart the kubelet. A list in a drop-in replaces the list before it: keep what your pods need.")
	return encodeYAML(mapping{
		{"apiVersion", "kubelet.config.k8s.io/v1beta1"},
		{"kind", "KubeletConfiguration"},
		{"allowedUnsafeSysctls", allowed},
	})
}

// noteMissingKeys adds the note that a missing sysctl keeps pods from starting.
func (w *writer) noteMissingKeys() {
	w.note("Load nf_conntrack at boot on every node, and try it on one node: while a key is missing, no pod starts.")
}

// crio writes a drop-in of crio.conf.d. CRI-O skips these sysctls for pods on the host's network, and refuses blanks
// around a value (RuntimeConfig.Sysctls and Sysctl.Validate of pkg/config).
func (w *writer) crio() (string, error) {
	wants := w.podSettings()
	if len(wants) == 0 { // an empty list would replace that of an earlier file
		return w.noChange()
	}
	w.note("With it each pod with a network namespace of its own starts with the values that ctkeeper keeps on the")
	w.note("host. ctkeeper itself does not keep the settings of pods.")
	w.note("Write it to /etc/crio/crio.conf.d/90-ctkeeper.conf, and restart crio. The list replaces default_sysctls of")
	w.note("earlier files: add what they have.")
	w.noteMissingKeys()
	list := []string{}
	for _, want := range wants {
		list = append(list, want.Setting.Sysctl()+"="+strings.TrimSpace(want.Value.String()))
	}
	return encodeTOML(map[string]any{"crio": map[string]any{"runtime": map[string]any{"default_sysctls": list}}})
}

// cniTuning writes an entry for the plugins of a network configuration list (TuningConf of plugins/meta/tuning).
func (w *writer) cniTuning() (string, error) {
	wants := w.podSettings()
	if len(wants) == 0 {
		return w.noChange()
	}
	w.note("With it each pod of the network starts with the values that ctkeeper keeps on the host.")
	w.note("Append it to plugins in the network's list, the first *.conflist in /etc/cni/net.d. If")
	w.note("/etc/cni/tuning/allowlist.conf exists, it must allow these keys.")
	w.noteMissingKeys()
	return encodeJSON(struct {
		Type   string            `json:"type"`
		Sysctl map[string]string `json:"sysctl"`
	}{"tuning", sysctls(wants)})
}

// text returns an option's value as in a flag.
func text(value any) string {
	encoded, err := encodeYAML(value)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(encoded)
}
