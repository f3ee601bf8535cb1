package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hostTools are the commands that the rig runs, each with its package. dpkg-deb and depmod decompress by libraries.
var hostTools = map[string]string{
	"qemu-system-x86_64": "qemu-system-x86", "dpkg-deb": "dpkg", "cpio": "cpio", "depmod": "kmod",
}

// commandLine keeps the kernel quiet, because long output on an emulated serial port takes seconds. A panic ends the
// machine: panic=-1 reboots at once, and -no-reboot makes QEMU exit.
const commandLine = "console=ttyS0,115200 rdinit=/sbin/init quiet loglevel=3 panic=-1 net.ifnames=0 " +
	"systemd.show_status=no systemd.log_color=no audit=0 mitigations=off random.trust_cpu=on"

// A Machine is a kernel with a root, which can be booted any number of times.
type Machine struct {
	Kernel Kernel
	root   string // archive
	memory int    // MiB
	cache  Cache
}

// A Run is one boot.
type Run struct {
	Dir string // with console.log and journal.log
}

// preparing is held by what changes the cache or the tree: tests run at the same time.
var preparing sync.Mutex

// Prepare returns the machine for a kernel, with root and kernel from the cache or new. It needs root: the owners of
// the guest's files are those on the host.
func Prepare(kernel string, r Root) (*Machine, error) {
	preparing.Lock()
	defer preparing.Unlock()
	// /usr/sbin, which has depmod, is not in every PATH.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return nil, err
	}
	if err := errors.Join(require(hostTools), requireBootstrap()); err != nil {
		return nil, err
	}
	c, err := openCache()
	if err != nil {
		return nil, err
	}
	root, err := r.prepare(c)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the root: %w", err)
	}
	k, err := prepareKernel(c, kernel)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare kernel %s: %w", kernel, err)
	}
	memory := r.Memory
	if memory == 0 {
		memory = smallMemory
	}
	return &Machine{Kernel: k, root: root, memory: memory, cache: c}, nil
}

// Boot runs the guest until the machine is off. read receives the output of its program.
func (m *Machine) Boot(ctx context.Context, g Guest, read func(io.Reader) error) (Run, error) {
	runs := filepath.Join(m.cache.Dir, "runs")
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return Run{}, err
	}
	dir, err := os.MkdirTemp(runs, m.Kernel.Name+time.Now().Format("-20060102-150405-*"))
	if err != nil {
		return Run{}, err
	}
	run := Run{Dir: dir}
	initrd := filepath.Join(run.Dir, "initrd")
	defer os.Remove(initrd)
	overlay := filepath.Join(run.Dir, "overlay.cpio")
	defer os.Remove(overlay)
	if err := g.archive(overlay); err != nil {
		return run, fmt.Errorf("cannot build the overlay: %w", err)
	}
	if err := concatenate(initrd, m.root, m.Kernel.Modules, overlay); err != nil {
		return run, err
	}
	return run, m.qemu(ctx, run, initrd, strings.TrimSpace(commandLine+" "+g.Kernel), read)
}

func (m *Machine) qemu(ctx context.Context, run Run, initrd, kernel string, read func(io.Reader) error) error {
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", m.Kernel.processor(), "-smp", "2", "-m", strconv.Itoa(m.memory)+"M",
		"-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none",
		"-kernel", m.Kernel.Image, "-initrd", initrd, "-append", kernel,
		"-serial", "file:"+filepath.Join(run.Dir, "console.log"),
		"-serial", "stdio",
		"-serial", "file:"+filepath.Join(run.Dir, "journal.log"))
	// A machine that outlives the test would use a processor core for ever.
	cmd.SysProcAttr = dieWithParent()
	cmd.WaitDelay = 10 * time.Second
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start QEMU: %w", err)
	}
	readErr := read(out)
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("QEMU failed: %w: %s", errors.Join(err, ctx.Err()), strings.TrimSpace(errs.String()))
	}
	return readErr
}

// processor returns QEMU's model of the processor: max, which has every feature. For 6.12 it is without cmpxchg16b.
// That kernel allocates memory by that instruction, which QEMU 7.2 gets wrong within a minute (see hasEmulatorFault);
// on a processor without it the kernel uses another way.
func (k Kernel) processor() string {
	if strings.HasPrefix(k.Version, "6.12.") {
		return "max,-cx16"
	}
	return "max"
}

// HasEmulatorFault reports whether the kernel died of something that no real processor does (see hasEmulatorFault).
// Such a run proves nothing about what it was to test.
func (r Run) HasEmulatorFault() bool {
	content, err := os.ReadFile(filepath.Join(r.Dir, "console.log"))
	return err == nil && hasEmulatorFault(string(content))
}

// hasEmulatorFault finds two faults of QEMU 7.2 with a thread for each processor. Either it executes an instruction
// as it was before the kernel patched it (an int3 of a static key). Or it returns from a cmpxchg16b with part of a
// pointer in the flags, whose bits 22 and up are zero on every processor (Intel SDM volume 1, 3.4.3).
func hasEmulatorFault(console string) bool {
	if strings.Contains(console, "int3: 0000 [#1]") {
		return true
	}
	if !strings.Contains(console, "Oops: double fault") {
		return false
	}
	for _, found := range flags.FindAllStringSubmatch(console, -1) {
		if value, err := strconv.ParseUint(found[1], 16, 64); err == nil && value>>22 != 0 {
			return true
		}
	}
	return false
}

var flags = regexp.MustCompile(`EFLAGS: ([0-9a-f]{8})\b`)

// Tail returns the last n lines of one of a run's logs.
func (r Run) Tail(name string, n int) string {
	content, err := os.ReadFile(filepath.Join(r.Dir, name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func concatenate(to string, parts ...string) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, part := range parts {
		in, err := os.Open(part)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		in.Close()
		if err != nil {
			return fmt.Errorf("cannot write the initramfs: %w", err)
		}
	}
	return out.Close()
}
