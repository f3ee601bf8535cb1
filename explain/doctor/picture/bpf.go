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

const (
	runningConfig = "/proc/config.gz"
	// maxKernelConfig is more than the length of any kernel's configuration, in bytes.
	maxKernelConfig = 2 << 20
)

// BPF is what a host has of what the guard's programs need, as far as files show it. No program is
// loaded to find out.
type BPF struct {
	// MountsRead is true where the table of mounts could be read. Unified is the mount of a cgroup v2
	// tree, Legacy one of cgroup v1; the text is empty where there is none.
	MountsRead      bool
	Unified, Legacy finding.Evidence
	// LastCap is the highest capability that the kernel knows; 0 where that is not known.
	LastCap int
	// Bounding is the bounding set of init, which limits every service; nil where it is not known.
	Bounding *uint64
	// NotBuilt are the options that the kernel was built without.
	NotBuilt []finding.Evidence
	// Confidential is a lockdown that hides the kernel's memory; its text is empty where there is none.
	Confidential finding.Evidence
	// WritesStrict is kernel.sysctl_writes_strict, which has to be 1 for guard: hold; "" where it is not known.
	WritesStrict string
}

// readBPF reads what the guard's programs need.
func readBPF(t tree.Tree, release string) BPF {
	b := BPF{WritesStrict: readText(t, WritesStrictFile)}
	if mounts, err := mountinfo.Read(t); err == nil {
		b.MountsRead = true
		b.Unified, b.Legacy = cgroupMounts(mounts)
	}
	if n, err := strconv.Atoi(readText(t, LastCapFile)); err == nil && n > 0 && n < 64 {
		b.LastCap = n
	}
	if text, err := t.Read(InitStatusFile, maxText); err == nil {
		b.Bounding = boundingSet(string(text))
	}
	file, text := readKernelConfig(t, release)
	b.NotBuilt = notBuilt(file, text)
	if text := readText(t, LockdownFile); strings.Contains(text, "[confidentiality]") {
		b.Confidential = finding.Seen(LockdownFile, 0, text)
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

// boundingSet parses CapBnd of a process' status (proc_pid_status(5)).
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

// readKernelConfig returns the running kernel's configuration and its file; no text where there is no
// file that can be read.
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

// unzip returns "" for data that is damaged or too large.
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

// notBuilt returns the options that BPF programs on control groups need and that a kernel's
// configuration does not have. It returns none for a text that is not a configuration.
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

// LacksCapability reports whether init itself cannot have a capability that the kernel has.
func (b BPF) LacksCapability(number int) bool {
	return b.Bounding != nil && b.LastCap >= number && *b.Bounding&(1<<number) == 0
}

// IsOld reports whether the kernel has no CAP_BPF. CAP_BPF and the BPF ring buffer came together.
func (b BPF) IsOld() bool { return b.LastCap > 0 && b.LastCap < unix.CAP_BPF }
