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
	"time"
)

// hostTools are the commands that the rig runs, with the package of each.
var hostTools = map[string]string{
	"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "dpkg-deb": "dpkg", "apt-get": "apt",
	"xz": "xz-utils", "zstd": "zstd",
}

// commandLine quiets the kernel: what it says at length costs an emulated serial
// port seconds. A panic or a lost init ends the machine, because QEMU is told
// not to start it again.
const commandLine = "console=ttyS0,115200 rdinit=/sbin/init quiet loglevel=3 panic=-1 net.ifnames=0 " +
	"systemd.show_status=no systemd.log_color=no audit=0 mitigations=off random.trust_cpu=on"

// A Machine is a kernel with a root, ready to boot as often as wanted.
type Machine struct {
	Kernel Kernel
	root   Root
	cache  Cache
}

// A Run is one boot and what it left behind.
type Run struct {
	Dir string // console.log, journal.log and qemu.log are here
}

// Prepare makes what a machine with this kernel needs, or takes it from the cache.
func Prepare(kernel string) (*Machine, error) {
	if err := require(hostTools); err != nil {
		return nil, err
	}
	if _, err := os.Stat(keyring); err != nil {
		return nil, fmt.Errorf("missing on this host: run `sudo apt-get install -y debian-archive-keyring`: %w", err)
	}
	c, err := OpenCache()
	if err != nil {
		return nil, err
	}
	root, err := PrepareRoot(c)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the root: %w", err)
	}
	k, err := PrepareKernel(c, kernel, root)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare kernel %s: %w", kernel, err)
	}
	return &Machine{Kernel: k, root: root, cache: c}, nil
}

// Boot runs the guest to its end, giving each line of its program's output to
// line as it comes. It returns when the machine is off.
func (m *Machine) Boot(ctx context.Context, g Guest, lines func(io.Reader) error) (Run, error) {
	run := Run{Dir: filepath.Join(m.cache.Dir, "runs", m.Kernel.Name+"-"+time.Now().Format("20060102-150405"))}
	if err := os.MkdirAll(run.Dir, 0o755); err != nil {
		return run, err
	}
	initrd := filepath.Join(run.Dir, "initrd")
	defer os.Remove(initrd)
	overlay := filepath.Join(run.Dir, "overlay.cpio")
	defer os.Remove(overlay)
	if err := g.write(overlay); err != nil {
		return run, fmt.Errorf("cannot write the overlay: %w", err)
	}
	if err := concatenate(initrd, m.root.Archive, m.Kernel.Modules, overlay); err != nil {
		return run, err
	}
	return run, m.qemu(ctx, run, initrd, strings.TrimSpace(commandLine+" "+g.Kernel), lines)
}

func (m *Machine) qemu(ctx context.Context, run Run, initrd, kernel string, lines func(io.Reader) error) error {
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", m.Kernel.processor(), "-smp", "2", "-m", "2560M",
		"-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none",
		"-kernel", m.Kernel.Image, "-initrd", initrd, "-append", kernel,
		"-serial", "file:"+filepath.Join(run.Dir, "console.log"),
		"-serial", "stdio",
		"-serial", "file:"+filepath.Join(run.Dir, "journal.log"))
	// Killed when the test process is: a forgotten machine eats a core for ever.
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
	lineErr := lines(out)
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("QEMU ended badly: %w: %s", errors.Join(err, ctx.Err()), strings.TrimSpace(errs.String()))
	}
	return lineErr
}

// processor is the emulated one: everything that QEMU has, but for 6.12, which
// allocates memory by a cmpxchg16b that QEMU 7.2 gets wrong within a minute (see
// emulatorFault); without that instruction the kernel does without.
func (k Kernel) processor() string {
	if strings.HasPrefix(k.Version, "6.12.") {
		return "max,-cx16"
	}
	return "max"
}

// EmulatorFault reports whether the kernel died of something that no processor
// does: see emulatorFault. That says nothing about what was to be tested.
func (r Run) EmulatorFault() bool {
	content, err := os.ReadFile(filepath.Join(r.Dir, "console.log"))
	return err == nil && emulatorFault(string(content))
}

// emulatorFault finds the two ways in which QEMU 7.2, with a thread for each
// processor, was seen to fail a kernel: it executes an instruction as it was
// before the kernel patched it (an int3 of a static key), or it comes out of a
// cmpxchg16b with part of a pointer in the flags, of which bits 22 and up are zero
// on every processor there is (Intel SDM volume 1, 3.4.3).
func emulatorFault(console string) bool {
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

// Last gives the last n lines of one of a run's logs.
func (r Run) Last(name string, n int) string {
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
			return fmt.Errorf("cannot join the initramfs: %w", err)
		}
	}
	return out.Close()
}
