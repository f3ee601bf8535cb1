package render

import (
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// mostCPUs is more than the CPUs of any host: Linux supports 8192 (CONFIG_NR_CPUS of x86).
const mostCPUs = 8192

// proxyOption is an option of kube-proxy, by its key in KubeProxyConntrackConfiguration and by its flag.
type proxyOption struct {
	key, flag string
	value     any // int64, bool, or text
}

// proxyTimeout is a timeout that kube-proxy sets; ownDefault is true if kube-proxy also sets it by default.
type proxyTimeout struct {
	setting, key, flag string
	ownDefault         bool
}

func proxyTimeouts() []proxyTimeout {
	return []proxyTimeout{
		{"tcp_timeout_established", "tcpEstablishedTimeout", "conntrack-tcp-timeout-established", true},
		{"tcp_timeout_close_wait", "tcpCloseWaitTimeout", "conntrack-tcp-timeout-close-wait", true},
		{"udp_timeout", "udpTimeout", "conntrack-udp-timeout", false},
		{"udp_timeout_stream", "udpStreamTimeout", "conntrack-udp-timeout-stream", false},
	}
}

// kubeProxy writes a part of a KubeProxyConfiguration. An option that is absent has kube-proxy's default, so each is
// written (SetDefaults_KubeProxyConfiguration; setSysctls of pkg/proxy/conntrack, as in 1.36 and 1.37).
func (w *writer) kubeProxy() (string, error) {
	options := w.proxyOptions()
	if len(options) == 0 {
		w.note("kube-proxy needs no change: it sets nothing that the configuration has.")
		return "", nil
	}
	if w.options.Agree {
		w.note("With it kube-proxy sets the values of ctkeeper where it can, and leaves the others alone.")
	} else {
		w.note("With it kube-proxy does not set what ctkeeper keeps.")
	}
	w.note("Merge it into kube-proxy's configuration. In clusters of kubeadm that is config.conf in the ConfigMap")
	w.note("kube-proxy of kube-system; then restart the pods, because kube-proxy reads it once:")
	w.note("  kubectl -n kube-system edit configmap kube-proxy")
	w.note("  kubectl -n kube-system rollout restart daemonset kube-proxy")
	w.note("A kube-proxy without --config has flags instead:")
	conntrack := mapping{}
	var flags []string
	for _, o := range options {
		conntrack = append(conntrack, pair{o.key, o.value})
		flags = append(flags, "--"+o.flag+"="+text(o.value))
	}
	w.note("  %s", strings.Join(flags, " "))
	return encodeYAML(mapping{
		{"apiVersion", "kubeproxy.config.k8s.io/v1alpha1"},
		{"kind", "KubeProxyConfiguration"},
		{"conntrack", conntrack},
	})
}

// proxyOptions returns the options for the settings that the configuration has.
func (w *writer) proxyOptions() []proxyOption {
	var options []proxyOption
	limit, hasMax := w.cfg.Want(sysfs.Max)
	hashsize, hasHashsize := w.cfg.Want(sysfs.Hashsize)
	if hasMax || hasHashsize {
		perCore, least := int64(0), int64(0)
		if w.options.Agree && w.canSetMax(limit, hashsize) {
			perCore = 1
			least, _ = limit.Value.Int()
		}
		options = append(options, proxyOption{"maxPerCore", "conntrack-max-per-core", perCore},
			proxyOption{"min", "conntrack-min", least})
	} else {
		w.leave(sysfs.Max, "the configuration has neither it nor hashsize, so kube-proxy goes on setting both")
	}
	for _, t := range proxyTimeouts() {
		want, wanted := w.cfg.Want(t.setting)
		switch {
		case wanted:
			options = append(options, proxyOption{t.key, t.flag, w.proxyTimeout(want)})
		case t.ownDefault:
			w.leave(t.setting, "the configuration does not have it, so kube-proxy goes on setting it")
		}
	}
	if want, wanted := w.cfg.Want("tcp_be_liberal"); wanted {
		n, _ := want.Value.Int()
		if w.options.Agree && n == 0 {
			w.leave("tcp_be_liberal", "with false kube-proxy leaves it alone, it cannot set it to 0")
		}
		options = append(options, proxyOption{"tcpBeLiberal", "conntrack-tcp-be-liberal", w.options.Agree && n == 1})
	}
	return options
}

// canSetMax reports whether kube-proxy can set the wanted max, and no other hashsize than the wanted one. With
// maxPerCore 1 it sets max to min, which is more than the CPUs (getConntrackMax), and raises hashsize to a quarter.
func (w *writer) canSetMax(limit, hashsize sysfs.Want) bool {
	if limit.Setting == nil {
		return false
	}
	n, isNumber := limit.Value.Int()
	switch {
	case !w.exact(limit):
		return false
	case !isNumber || n <= mostCPUs:
		w.leave(sysfs.Max, "kube-proxy cannot set %s: it would set the number of CPUs where that is more", limit)
		return false
	case hashsize.Setting == nil || hashsize.Policy == sysfs.AtLeast:
		return true
	}
	buckets, _ := hashsize.Value.Int()
	if sysfs.RoundHashsize(n/4) > sysfs.RoundHashsize(buckets) {
		w.leave(sysfs.Max, "kube-proxy would also raise hashsize to a quarter of it, and ctkeeper wants %s", hashsize)
		return false
	}
	return true
}

// proxyTimeout returns a timeout as kube-proxy has it; 0s leaves the setting alone.
func (w *writer) proxyTimeout(want sysfs.Want) string {
	const leave = "0s"
	if !w.options.Agree || !w.exact(want) {
		return leave
	}
	n, _ := want.Value.Int()
	if n == 0 {
		w.leave(want.Setting.Name, "with 0s kube-proxy leaves it alone, it cannot set it to 0")
	}
	return (time.Duration(n) * time.Second).String()
}
