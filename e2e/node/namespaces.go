package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// address is the node's: not the loopback's, which the kubelet refuses.
const address = "10.250.0.1"

// inMemory are the directories that programs of the node write to. Each becomes a file system in memory.
var inMemory = []string{"/run", "/var/lib", "/var/log"}

// faked are the sysctls that the kubelet sets, below /proc/sys. Each becomes a copy.
var faked = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
	"kernel/keys/root_maxbytes",
}

// enter prepares the namespaces of this process: what their doc comment promises about the host, and a network.
// writable are directories of the host that stay writable.
func enter(writable []string) error {
	for _, step := range []func() error{
		func() error { return remount(writable) }, mountProc, setUpNetwork,
		func() error { return unix.Sethostname([]byte(nodeName)) },
		func() error { return os.Setenv("TMPDIR", work) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// remount makes the host's files read-only.
func remount(writable []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	for _, dir := range writable {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot bind %s: %w", dir, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("cannot make / read-only: %w", err)
	}
	for _, dir := range inMemory {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("cannot mount a tmpfs on %s: %w", dir, err)
		}
	}
	// The kubelet wants mounts that containers see.
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// mountProc mounts the procfs of this pid namespace.
func mountProc() error {
	const proc, sys, net = "/proc", "/proc/sys", work + "/net"
	const readOnly = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY
	if err := os.MkdirAll(net, 0o755); err != nil {
		return err
	}
	type mount struct {
		source, target, kind string
		flags                uintptr
	}
	mounts := []mount{
		{"proc", proc, "proc", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV},
		{sys + "/net", net, "", unix.MS_BIND}, {sys, sys, "", unix.MS_BIND}, {"", sys, "", readOnly},
		{net, sys + "/net", "", unix.MS_BIND},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.target, err)
		}
	}
	for _, name := range faked {
		value, err := os.ReadFile(filepath.Join(sys, name))
		if os.IsNotExist(err) {
			continue // not every kernel has keys
		} else if err != nil {
			return err
		}
		copied := filepath.Join(work+"/sys", name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(copied, value, 0o644); err != nil {
			return err
		}
		if err := unix.Mount(copied, filepath.Join(sys, name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot bind a copy of %s: %w", name, err)
		}
	}
	return nil
}

// setUpNetwork makes an interface with the node's address and a default route. A veth, because not every kernel has
// dummy devices. The rule loads conntrack's hooks.
func setUpNetwork() error {
	for _, command := range []string{
		"ip link set lo up", "ip link add node0 type veth peer name node1",
		"ip address add " + address + "/24 dev node0",
		"ip link set node0 up", "ip link set node1 up", "ip route add default dev node0",
		"iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT",
	} {
		argv := strings.Fields(command)
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, out)
		}
	}
	return nil
}
