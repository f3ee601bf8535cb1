package distro

import (
	"bytes"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const osrelease = "/proc/sys/kernel/osrelease"

// Platform is what sets a host apart from a usual installation: it is a container, or a program makes its
// files or supplies its kernel. The zero value is a usual installation.
type Platform struct {
	// Container is the kind of a container, which shares the kernel of its host: "OpenVZ", "lxc",
	// "docker"; "" for none. No kernel is installed, no module loaded and no global value set from there.
	Container string
	// Name is the kind of a system with ways of its own: "NixOS"; "" for a usual one.
	Name string
	// Signs are the files that show the container, or else the kind of system.
	Signs []Sign
	// Generator is what the files below /etc are made from: an edit of them does not last. It is empty
	// where they are the administrator's.
	Generator string
	// LoadModule, SetSysctl and AddArgument are where this system configures a module that is loaded at
	// boot, a sysctl value, and an argument of the kernel: "boot.kernelModules in configuration.nix, then
	// nixos-rebuild switch". They are empty where it is done in the usual files.
	LoadModule, SetSysctl, AddArgument string
	// RenderTarget is the TARGET of ctkeeper render for this system, or empty.
	RenderTarget string
	// Kernel is who supplies the kernel, where no package manager installs one here: "the system image".
	Kernel string
}

// Sign is a file that shows what a host is, and what it says.
type Sign struct {
	tree.Place
	Text string
}

// readPlatform recognises the platform of a host with this release file.
func (d Distribution) readPlatform(t tree.Tree) Platform {
	p := d.system(t)
	kind, signs := readContainer(t)
	if kind != "" {
		p.Container, p.Signs, p.Kernel = kind, signs, "the host of this container"
	}
	return p
}

// readContainer returns the kind of a container, and what shows it. /dev/lxd and /dev/incus are no proof:
// virtual machines of LXD have them too.
func readContainer(t tree.Tree) (kind string, signs []Sign) {
	if kind, sign := readOpenVZ(t); kind != "" {
		return kind, sign
	}
	// "4.4.0-19041-Microsoft": Windows itself emulates the kernel.
	if release, _ := t.Read(osrelease, maxRelease); bytes.Contains(release, []byte("-Microsoft")) {
		return "WSL 1", []Sign{{tree.Place{File: osrelease}, firstLine(string(release))}}
	}
	const systemd = "/run/systemd/container"
	if text, err := t.Read(systemd, maxRelease); err == nil && len(bytes.TrimSpace(text)) > 0 {
		kind = firstLine(string(text))
		return kind, []Sign{{tree.Place{File: systemd}, kind}}
	}
	const environ = "/proc/1/environ"
	text, _ := t.Read(environ, maxRelease) // only root may read it
	for variable := range bytes.SplitSeq(text, []byte{0}) {
		kind, found := strings.CutPrefix(string(variable), "container=")
		if kind = firstLine(kind); found && kind != "" && kind != "wsl" {
			return kind, []Sign{{tree.Place{File: environ}, "container=" + kind}}
		}
	}
	for _, file := range []struct{ path, kind string }{
		{"/run/.containerenv", "podman"}, {"/.dockerenv", "docker"}, {"/dev/.lxc", "lxc"},
		{"/var/run/secrets/kubernetes.io/serviceaccount", "kubernetes"},
	} {
		if t.Exists(file.path) {
			return file.kind, []Sign{{tree.Place{File: file.path}, file.kind}}
		}
	}
	return "", nil
}

// readOpenVZ recognises a container of OpenVZ or Virtuozzo. Its host has /proc/bc as well (vzctl;
// detect_container of systemd).
func readOpenVZ(t tree.Tree) (kind string, signs []Sign) {
	if t.Exists("/proc/bc") {
		return "", nil
	}
	for _, file := range []string{"/proc/vz", "/proc/user_beancounters"} {
		if t.Exists(file) {
			kind = "OpenVZ"
			signs = append(signs, Sign{tree.Place{File: file}, "exists, and /proc/bc does not: a container of OpenVZ"})
		}
	}
	return kind, signs
}

// system recognises a system with ways of its own.
func (d Distribution) system(t tree.Tree) Platform {
	p := Platform{Signs: []Sign{{tree.Place{File: releaseFile(t)}, d.Name}}}
	release, _ := t.Read(osrelease, maxRelease) // "5.15.167.4-microsoft-standard-WSL2"
	switch {
	case d.ID == "nixos":
		p.Name, p.Generator, p.RenderTarget = "NixOS", "configuration.nix", "nixos"
		p.LoadModule = "boot.kernelModules in configuration.nix, then nixos-rebuild switch"
		p.SetSysctl = "boot.kernel.sysctl in configuration.nix, then nixos-rebuild switch"
		p.AddArgument = "boot.kernelParams in configuration.nix, then nixos-rebuild boot"
		p.Kernel = "configuration.nix"
	case d.ID == "guix" || d.ID == "guix-system":
		p.Name, p.Generator = "Guix System", "the operating-system declaration"
		p.LoadModule = "kernel-module-loader-service-type in the operating-system declaration, " +
			"then guix system reconfigure"
		p.SetSysctl = "sysctl-service-type in the operating-system declaration, then guix system reconfigure"
		p.AddArgument = "kernel-arguments in the operating-system declaration, then guix system reconfigure"
		p.Kernel = "the operating-system declaration"
	case d.ID == "bottlerocket":
		p.Name, p.Generator, p.RenderTarget = "Bottlerocket", "its settings", "bottlerocket"
		p.LoadModule = "settings.kernel.modules.nf_conntrack.autoload, by apiclient set or in the user data"
		p.SetSysctl = "settings.kernel.sysctl, by apiclient set or in the user data"
		p.AddArgument = "settings.boot.kernel-parameters, by apiclient set or in the user data"
		p.Kernel = "the system image"
	case d.ID == "talos":
		p.Name, p.Generator, p.RenderTarget = "Talos Linux", "the machine configuration", "talos"
		p.LoadModule = "machine.kernel.modules in the machine configuration, by talosctl patch machineconfig"
		p.SetSysctl = "machine.sysctls in the machine configuration, by talosctl patch machineconfig"
		p.AddArgument = "machine.install.extraKernelArgs in the machine configuration, then an upgrade"
		p.Kernel = "the system image"
	case d.is("flatcar", "coreos"):
		p.Name, p.Kernel = "Flatcar Container Linux", "the system image"
		p.AddArgument = "linux_append in /oem/grub.cfg"
	case d.is("openwrt", "lede"):
		p.Name, p.Kernel = "OpenWrt", "the system image"
		p.AddArgument = "the boot loader of the device"
	case t.Exists("/run/ostree-booted"):
		p.Name, p.Kernel = "ostree", "the deployment of ostree"
		p.Signs = []Sign{{tree.Place{File: "/run/ostree-booted"}, "exists: /usr is a read-only deployment"}}
	case d.is("opensuse-microos", "suse-microos", "opensuse-leap-micro", "sle-micro", "sl-micro"):
		p.Name, p.Kernel = "MicroOS", "a snapshot of transactional-update"
		p.AddArgument = "/etc/default/grub, then transactional-update grub.cfg"
	case bytes.Contains(release, []byte("microsoft")) || bytes.Contains(release, []byte("WSL2")):
		p.Name, p.Kernel = "WSL 2", "Windows (wsl --update)"
		p.AddArgument = "kernelCommandLine in .wslconfig of the Windows user, then wsl --shutdown"
		p.Signs = []Sign{{tree.Place{File: osrelease}, firstLine(string(release))}}
	default:
		return Platform{}
	}
	return p
}

// releaseFile returns the os-release file of a host.
func releaseFile(t tree.Tree) string {
	files := []string{"/etc/os-release", "/usr/lib/os-release"}
	if i := slices.IndexFunc(files, t.Exists); i >= 0 {
		return files[i]
	}
	return files[0]
}
