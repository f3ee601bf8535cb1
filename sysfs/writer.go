package sysfs

import (
	"cmp"
	"strconv"
	"strings"
)

// Writer is the process that changed a setting or loaded the module, as far as it is known: a
// process may have ended before it is looked up, and kernels differ in what they provide.
// Unknown fields are zero. Texts are printable.
type Writer struct {
	// PID is the process id in the initial pid namespace, as the host's ps shows it.
	PID int `json:"pid,omitzero"`
	// Comm is the command name, at most 15 bytes (TASK_COMM_LEN, proc_pid_comm(5)).
	Comm string `json:"comm,omitempty"`
	// Unit is the systemd unit: sshd.service, session-3.scope. For a container with a scope of
	// its own it is that scope.
	Unit string `json:"unit,omitempty"`
	// Container is the container's full id or name.
	Container string `json:"container,omitempty"`
	// Pod is the UID of the Kubernetes pod that the container belongs to.
	Pod string `json:"pod,omitempty"`
	// PodNamespace and PodName are those of that pod.
	PodNamespace string `json:"pod_namespace,omitempty"`
	PodName      string `json:"pod_name,omitempty"`
	// Candidates describe those who could have been it, newest first, where more than one could. The
	// other fields are then zero: none of them is certain.
	Candidates []string `json:"candidates,omitempty"`
}

// shortID is how many characters of a container's id are shown, as docker ps does.
const shortID = 12

// String describes the writer: "kube-proxy (pid 2211, container 4f0c8a21bd03 of pod kube-system/kube-proxy-x7k2p)",
// "sysctl (pid 812, sshd.service)", or "somebody" where nothing is known. Candidates are joined by "or".
func (w Writer) String() string {
	if len(w.Candidates) > 0 {
		return strings.Join(w.Candidates, " or ")
	}
	var parts []string
	if w.PID != 0 {
		parts = append(parts, "pid "+strconv.Itoa(w.PID))
	}
	switch {
	case w.Container != "" && w.Pod != "":
		parts = append(parts, "container "+short(w.Container)+" of pod "+w.podText())
	case w.Container != "":
		parts = append(parts, "container "+short(w.Container))
	case w.Unit != "":
		parts = append(parts, w.Unit)
	}
	name := cmp.Or(w.Comm, "somebody")
	if len(parts) == 0 {
		return name
	}
	return name + " (" + strings.Join(parts, ", ") + ")"
}

// podText returns NAMESPACE/NAME of the pod, or its UID where the name is not known.
func (w Writer) podText() string {
	if w.PodName == "" {
		return w.Pod
	}
	return w.PodNamespace + "/" + w.PodName
}

// Cgroup describes where the writer ran, in full: its unit, "container ID", or "container ID,
// pod UID". It is empty where that is not known.
func (w Writer) Cgroup() string {
	switch {
	case w.Container != "" && w.Pod != "":
		return "container " + w.Container + ", pod " + w.Pod
	case w.Container != "":
		return "container " + w.Container
	default:
		return w.Unit
	}
}

func short(id string) string {
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:shortID]
	}
	return id
}
