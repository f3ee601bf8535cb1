package doctor

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	lastCap     = "/proc/sys/kernel/cap_last_cap"
	initStatus  = "/proc/1/status"
	lockdown    = "/sys/kernel/security/lockdown"
	runningConf = "/proc/config.gz"
	// maxKernelConfig is more than any kernel's configuration is long, in bytes.
	maxKernelConfig = 2 << 20
)

// BPF is what a host has of what the guard's programs take, as far as files tell: no program
// is loaded to find out.
type BPF struct {
	// Mounts is true where the table of mounts could be read. Unified is the mount of a cgroup
	// v2 tree in it, Legacy one of cgroup v1; no text where there is none.
	Mounts          bool
	Unified, Legacy Evidence
	// LastCap is the highest capability that the kernel knows; 0 where that is not known.
	LastCap int
	// Bounding is the bounding set of init, which no service gets beyond; nil where it
	// is not known.
	Bounding *uint64
	// NotBuilt are the options that the kernel was built without.
	NotBuilt []Evidence
	// Confidential is a lockdown of the kernel that hides its memory; no text where there is
	// none.
	Confidential Evidence
	// Shares are the files of the drop-ins that the package brings, by their names.
	Shares map[string]string
}

// lookAtBPF reads what the guard's programs take.
func lookAtBPF(t tree.Tree, release string) BPF {
	b := BPF{Shares: map[string]string{}}
	if text, err := t.Read(mountinfo, maxUnit); err == nil {
		b.Mounts = true
		b.Unified, b.Legacy = cgroupMounts(string(text))
	}
	if text, err := t.Read(lastCap, 64); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 0 && n < 64 {
			b.LastCap = n
		}
	}
	if text, err := t.Read(initStatus, maxUnit); err == nil {
		b.Bounding = boundingSet(string(text))
	}
	file, text := kernelConfig(t, release)
	b.NotBuilt = notBuilt(file, text)
	if text, err := t.Read(lockdown, 4096); err == nil && strings.Contains(string(text), "[confidentiality]") {
		b.Confidential = seen(lockdown, 0, strings.TrimSpace(string(text)))
	}
	for _, name := range []string{guardConf, perfmonConf} {
		for _, dir := range []string{"/usr/share/ctkeeper/", "/usr/local/share/ctkeeper/"} {
			if b.Shares[name] == "" && t.Exists(dir+name) {
				b.Shares[name] = dir + name
			}
		}
	}
	return b
}

// cgroupMounts finds a mount of each kind of cgroup tree: the file system's type is the
// first word behind the dash (proc_pid_mountinfo(5)).
func cgroupMounts(text string) (unified, legacy Evidence) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		before, behind, _ := strings.Cut(line, " - ")
		kind, _, _ := strings.Cut(behind, " ")
		switch line := strings.TrimSpace(line); {
		case len(strings.Fields(before)) < 6:
		case kind == "cgroup2" && unified.Text == "":
			unified = seen(mountinfo, number, line)
		case kind == "cgroup" && legacy.Text == "":
			legacy = seen(mountinfo, number, line)
		}
	}
	return unified, legacy
}

// boundingSet is CapBnd of a process' status (proc_pid_status(5)).
func boundingSet(status string) *uint64 {
	for line := range strings.Lines(status) {
		if value, found := strings.CutPrefix(line, "CapBnd:"); found {
			if set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64); err == nil {
				return &set
			}
		}
	}
	return nil
}

// kernelConfig is what the running kernel was built with, and the file that says so; no text
// where none is there, or it cannot be read.
func kernelConfig(t tree.Tree, release string) (file, text string) {
	if release == "" {
		return "", ""
	}
	if data, err := t.Read(runningConf, maxKernelConfig); err == nil {
		if text := unzip(data); text != "" {
			return runningConf, text
		}
	}
	for _, file := range []string{"/boot/config-" + release, "/lib/modules/" + release + "/config"} {
		if data, err := t.Read(file, maxKernelConfig); err == nil {
			return file, string(data)
		}
	}
	return "", ""
}

// unzip gives nothing for what is damaged or too large.
func unzip(data []byte) string {
	in, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(in, maxKernelConfig+1))
	if err != nil || len(text) > maxKernelConfig {
		return ""
	}
	return string(text)
}

// notBuilt are the options that BPF programs on control groups take, and that a kernel's
// configuration does not have. A text that is no configuration says nothing.
func notBuilt(file, text string) []Evidence {
	lines := strings.Split(text, "\n")
	if !slices.Contains(lines, "CONFIG_SYSCTL=y") {
		return nil
	}
	var missing []Evidence
	for _, option := range []string{"CONFIG_BPF_SYSCALL", "CONFIG_CGROUP_BPF"} {
		unset := "# " + option + " is not set"
		switch i := slices.Index(lines, unset); {
		case slices.Contains(lines, option+"=y"):
		case i >= 0:
			missing = append(missing, seen(file, i+1, unset))
		default:
			missing = append(missing, seen(file, 0, "does not have "+option))
		}
	}
	return missing
}

// barred reports whether init itself may not have a capability that the kernel knows.
func (b BPF) barred(number int) bool {
	return b.Bounding != nil && b.LastCap >= number && *b.Bounding&(1<<number) == 0
}

// old reports whether the kernel knows no CAP_BPF, which came with the ring buffer.
func (b BPF) old() bool { return b.LastCap > 0 && b.LastCap < unix.CAP_BPF }
