package sysfs

import (
	"strconv"
	"strings"
)

// Writer is who changed something of the connection tracker, as far as it could be told: a
// process may be gone before it is looked up, and kernels differ in what they tell. What is
// not known is zero. Its texts are printable.
type Writer struct {
	// PID is the process id in the initial pid namespace, the one that the host's ps shows.
	PID int `json:"pid,omitzero"`
	// Comm is the command name, at most 15 bytes (TASK_COMM_LEN, proc_pid_comm(5)).
	Comm string `json:"comm,omitempty"`
	// Unit is the systemd unit: sshd.service, session-3.scope. Of a container that has a
	// scope of its own it is that scope.
	Unit string `json:"unit,omitempty"`
	// Container is the container's id or name, in full.
	Container string `json:"container,omitempty"`
	// Pod is the UID of the Kubernetes pod that the container belongs to.
	Pod string `json:"pod,omitempty"`
}

// shortID is how much of a container's id people are shown, as docker ps does.
const shortID = 12

// String is the writer as a person would say it: "kube-proxy (pid 2211, container
// 4f0c8a21bd03 of pod 1f…)", "sysctl (pid 812, sshd.service)"; "somebody" where nothing is
// known.
func (w Writer) String() string {
	var parts []string
	if w.PID != 0 {
		parts = append(parts, "pid "+strconv.Itoa(w.PID))
	}
	switch {
	case w.Container != "" && w.Pod != "":
		parts = append(parts, "container "+short(w.Container)+" of pod "+w.Pod)
	case w.Container != "":
		parts = append(parts, "container "+short(w.Container))
	case w.Unit != "":
		parts = append(parts, w.Unit)
	}
	name := w.Comm
	if name == "" {
		name = "somebody"
	}
	if len(parts) == 0 {
		return name
	}
	return name + " (" + strings.Join(parts, ", ") + ")"
}

// Place is where the writer ran, in full: its unit, or "container ID", or "container ID, pod
// UID". Empty is not known.
func (w Writer) Place() string {
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
