package guard

import (
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// podLogs has a directory NAMESPACE_NAME_UID for each pod of the node, which the kubelet makes before the pod's
	// containers start (BuildPodLogsDirectory).
	podLogs = "/var/log/pods"
	// maxPods bounds the names that are read at a time, and kept. A node has 110 pods by default.
	maxPods = 4096
	// podsRest is the least time between two reads of the directory, which unknown pods cause.
	podsRest = time.Second
)

// pods finds names and namespaces of pods by their UIDs, without the API server. Names are looked up when
// a record of the guard is read, outside of the passes that repair. A pods may be used by several goroutines.
type pods struct {
	dir string

	mu    sync.Mutex
	names map[string]podName // by UID
	next  time.Time          // the earliest time of the next read
}

type podName struct{ namespace, name string }

func newPods() *pods { return &pods{dir: podLogs, names: map[string]podName{}} }

// isReadable reports whether the kubelet's directory is here.
func (p *pods) isReadable() bool {
	info, err := os.Stat(p.dir)
	return err == nil && info.IsDir()
}

// name adds name and namespace to a writer that is in a pod, if they are known.
func (p *pods) name(w *sysfs.Writer) {
	if w.Pod == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found, known := p.names[w.Pod]
	if now := time.Now(); !known && !now.Before(p.next) {
		p.read()
		p.next = now.Add(podsRest)
		found = p.names[w.Pod]
	}
	w.PodNamespace, w.PodName = found.namespace, found.name
}

// read adds the pods of the directory. Names of removed pods are kept until there are maxPods.
func (p *pods) read() {
	dir, err := os.Open(p.dir)
	if err != nil {
		return // see addMissingPods
	}
	defer func() { _ = dir.Close() }() // it was only read
	if len(p.names) >= maxPods {
		clear(p.names)
	}
	names, _ := dir.Readdirnames(maxPods) // those before an error count
	for _, name := range names {
		if uid, pod, ok := parsePodLogs(name); ok {
			p.names[uid] = pod
		}
	}
}

// parsePodLogs reads the name of a pod's directory. Neither a namespace nor the name of a pod contains an underscore
// (RFC 1123 labels and subdomains).
func parsePodLogs(name string) (uid string, pod podName, ok bool) {
	parts := strings.Split(name, "_")
	if len(parts) != 3 || !isDNSName(parts[0], 63) || !isDNSName(parts[1], 253) || !isPodUID(parts[2]) {
		return "", podName{}, false
	}
	return parts[2], podName{parts[0], parts[1]}, true
}

func isDNSName(s string, limit int) bool {
	return s != "" && len(s) <= limit && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// addMissingPods adds to Missing that pods have no names, where the guard runs in a pod.
func (g *Guard) addMissingPods() {
	if g.features.Pod = g.pods.isReadable(); g.features.Pod || os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return
	}
	g.features.Missing = append(g.features.Missing, capability.Missing{
		What: "the name of a pod", Why: podLogs + " is not there",
		Hint: "mount the host's " + podLogs + " at the same place, read-only",
	})
}
