package picture

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// GuardConf and perfmonConf are the drop-ins that the package brings.
const GuardConf = "guard.conf"

const PerfmonConf = "guard-perfmon.conf"

const LastCapFile = "/proc/sys/kernel/cap_last_cap"

const InitStatusFile = "/proc/1/status"

const LockdownFile = "/sys/kernel/security/lockdown"

const runningConfig = "/proc/config.gz"

// maxKernelConfig is more than any kernel's configuration is long, in bytes.
const maxKernelConfig = 2 << 20

// BPF is what a host has of what the guard's programs take, as far as files tell: no program
// is loaded to find out.
type BPF struct {
	// Mounts is true where the table of mounts could be read. Unified is the mount of a cgroup
	// v2 tree in it, Legacy one of cgroup v1; no text where there is none.
	Mounts          bool
	Unified, Legacy finding.Evidence
	// LastCap is the highest capability that the kernel knows; 0 where that is not known.
	LastCap int
	// Bounding is the bounding set of init, which no service gets beyond; nil where it
	// is not known.
	Bounding *uint64
	// NotBuilt are the options that the kernel was built without.
	NotBuilt []finding.Evidence
	// Confidential is a lockdown of the kernel that hides its memory; no text where there is
	// none.
	Confidential finding.Evidence
	// Shares are the files of the drop-ins that the package brings, by their names.
	Shares map[string]string
}

// readBPF reads what the guard's programs take.
func readBPF(t tree.Tree, release string) BPF {
	b := BPF{Shares: map[string]string{}}
	if mounts, err := mountinfo.Read(t); err == nil {
		b.Mounts = true
		b.Unified, b.Legacy = cgroupMounts(mounts)
	}
	if text, err := t.Read(LastCapFile, 64); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 0 && n < 64 {
			b.LastCap = n
		}
	}
	if text, err := t.Read(InitStatusFile, maxUnit); err == nil {
		b.Bounding = boundingSet(string(text))
	}
	file, text := readKernelConfig(t, release)
	b.NotBuilt = notBuilt(file, text)
	if text, err := t.Read(LockdownFile, 4096); err == nil && strings.Contains(string(text), "[confidentiality]") {
		b.Confidential = finding.Seen(LockdownFile, 0, strings.TrimSpace(string(text)))
	}
	for _, name := range []string{GuardConf, PerfmonConf} {
		for _, dir := range []string{"/usr/share/ctkeeper/", "/usr/local/share/ctkeeper/"} {
			if b.Shares[name] == "" && t.Exists(dir+name) {
				b.Shares[name] = dir + name
			}
		}
	}
	return b
}

// cgroupMounts returns the first mount of a cgroup v2 tree, and the first of a v1 tree.
func cgroupMounts(mounts []mountinfo.Mount) (unified, legacy finding.Evidence) {
	for _, m := range mounts {
		switch {
		case m.FSType == "cgroup2" && unified.Text == "":
			unified = finding.Seen(mountinfo.File, m.Line, m.Text)
		case m.FSType == "cgroup" && legacy.Text == "":
			legacy = finding.Seen(mountinfo.File, m.Line, m.Text)
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

// readKernelConfig is what the running kernel was built with, and the file that says so; no text
// where none is there, or it cannot be read.
func readKernelConfig(t tree.Tree, release string) (file, text string) {
	if release == "" {
		return "", ""
	}
	if data, err := t.Read(runningConfig, maxKernelConfig); err == nil {
		if text := unzip(data); text != "" {
			return runningConfig, text
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
func notBuilt(file, text string) []finding.Evidence {
	lines := strings.Split(text, "\n")
	if !slices.Contains(lines, "CONFIG_SYSCTL=y") {
		return nil
	}
	var missing []finding.Evidence
	for _, option := range []string{"CONFIG_BPF_SYSCALL", "CONFIG_CGROUP_BPF"} {
		unset := "# " + option + " is not set"
		switch i := slices.Index(lines, unset); {
		case slices.Contains(lines, option+"=y"):
		case i >= 0:
			missing = append(missing, finding.Seen(file, i+1, unset))
		default:
			missing = append(missing, finding.Seen(file, 0, "does not have "+option))
		}
	}
	return missing
}

// LacksCapability reports whether init itself may not have a capability that the kernel knows.
func (b BPF) LacksCapability(number int) bool {
	return b.Bounding != nil && b.LastCap >= number && *b.Bounding&(1<<number) == 0
}

// IsOld reports whether the kernel knows no CAP_BPF, which came with the ring buffer.
func (b BPF) IsOld() bool { return b.LastCap > 0 && b.LastCap < unix.CAP_BPF }
