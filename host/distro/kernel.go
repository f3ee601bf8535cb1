package distro

import (
	"regexp"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/shell"
)

// ReinstallKernel returns the commands that restore the files of an installed kernel release, or install the
// package with its modules. It returns none for an unknown distribution, and where no package has the kernel: in
// a container, on ostree, with WSL.
func (d Distribution) ReinstallKernel(release string) []change.Step {
	if d.Platform.Kernel != "" {
		return nil
	}
	switch d.family() {
	case debian:
		return []change.Step{d.reinstallDebian(release)}
	case redHat:
		return d.reinstallRedHat(release)
	case suse:
		// The release of a package has a rebuild count after the kernel's release; its Provides has none.
		version, flavour := splitFlavour(release, "default")
		return []change.Step{change.Run("zypper", "--non-interactive", "install", "--force",
			"kernel-"+flavour+"="+version)}
	case alpine:
		_, flavour := splitFlavour(release, "lts")
		return []change.Step{change.Run("apk", "fix", "linux-"+flavour)}
	case arch:
		return []change.Step{change.Run("pacman", "-S", "--noconfirm", archPackage(release))}
	}
	return nil
}

// splitFlavour splits a release at its last dash if a word follows it. Otherwise the flavour is the fallback.
func splitFlavour(release, fallback string) (version, flavour string) {
	if m := regexp.MustCompile(`^(.*)-([a-z][a-z0-9]*)$`).FindStringSubmatch(release); m != nil {
		return m[1], m[2]
	}
	return release, fallback
}

// archPackage returns the package of a kernel release on Arch Linux.
func archPackage(release string) string {
	if m := regexp.MustCompile(`-(lts|zen|hardened|rt|rt-lts)$`).FindStringSubmatch(release); m != nil {
		return "linux-" + m[1]
	}
	return "linux"
}

// reinstallDebian returns a command in which apt-get(8) matches the packages that exist: the modules of
// Ubuntu, and of Debian's kernels since 7, have a package of their own beside linux-image.
func (d Distribution) reinstallDebian(release string) change.Step {
	names := "^linux-(image|modules)-" + regexp.QuoteMeta(release) + "$"
	switch {
	case strings.HasSuffix(release, "-pve"): // the installed one of proxmox-kernel-* and pve-kernel-*, signed or not
		return change.Run("sh", "-c", "apt-get install -y --reinstall $(dpkg-query --show --showformat '${Package} ' "+
			shell.Quote("*-kernel-"+release+"*")+")")
	case d.is("raspbian") && strings.HasSuffix(release, "+"): // one package has all of its kernels
		names = "raspberrypi-kernel"
	}
	return change.Run("apt-get", "install", "-y", "--reinstall", names)
}

// reinstallRedHat returns the commands for distributions with rpm packages.
func (d Distribution) reinstallRedHat(release string) []change.Step {
	manager := d.manager()
	// The release of a variant ends in "+rt", "+debug" or "+64k", which is part of its packages' names.
	base, variant, _ := strings.Cut(release, "+")
	kernel := "kernel-"
	if variant != "" {
		kernel += variant + "-"
	}
	switch {
	case strings.Contains(release, "uek"):
		return []change.Step{change.Run(manager, "reinstall", "-y", "kernel-uek*-"+release)}
	case d.ID == "amzn" && !d.hasYum(): // kernel, kernel6.12, …
		return []change.Step{change.Run(manager, "reinstall", "-y", "kernel*-"+release)}
	case d.hasYum():
		return []change.Step{change.Run("yum", "install", "-y", kernel+base),
			change.Run("yum", "reinstall", "-y", kernel+base)}
	}
	// kernel-modules-core is a package since Fedora 38 and RHEL 9.2.
	core := kernel + "core-" + base
	return []change.Step{
		change.Run(manager, "install", "-y", core, kernel+"modules-"+base),
		change.Run(manager, "reinstall", "-y", core, kernel+"modules*-"+base),
	}
}

// ReinstallExtraModules returns the commands for a module that the distribution ships in a package beside the
// kernel's (Ubuntu's linux-modules-extra-*, RHEL's kernel-modules-extra), none if it has no such package.
func (d Distribution) ReinstallExtraModules(release string) []change.Step {
	switch {
	case d.Platform.Kernel != "": // see ReinstallKernel
	case d.is("ubuntu"):
		// Up to 16.04 it was linux-image-extra.
		return []change.Step{change.Run("apt-get", "install", "-y", "--reinstall",
			"^linux-(image|modules)-extra-"+regexp.QuoteMeta(release)+"$")}
	case d.family() == redHat && !d.hasYum() && d.ID != "amzn":
		base, variant, _ := strings.Cut(release, "+")
		name := "kernel-modules-extra-" + base
		switch {
		case strings.Contains(release, "uek"):
			name = "kernel-uek-modules-extra-" + base
		case variant != "":
			name = "kernel-" + variant + "-modules-extra-" + base
		}
		return []change.Step{change.Run("dnf", "install", "-y", name), change.Run("dnf", "reinstall", "-y", name)}
	}
	return nil
}

// RebuildInitramfs returns the shell command that rebuilds the initramfs of a release, or "".
func (d Distribution) RebuildInitramfs(release string) string {
	if d.Platform.Kernel != "" {
		return "" // that initramfs, if there is one, has no copy of the files in /etc
	}
	switch d.family() {
	case debian:
		return "update-initramfs -u -k " + shell.Quote(release)
	case redHat:
		if d.hasYum() && d.major() == 6 { // dracut(8) has no --kver there
			return "dracut -f " + shell.Quote("/boot/initramfs-"+release+".img") + " " + shell.Quote(release)
		}
		return "dracut -f --kver " + shell.Quote(release)
	case suse:
		return "dracut -f --kver " + shell.Quote(release)
	case alpine:
		return "mkinitfs " + shell.Quote(release)
	case arch:
		return "mkinitcpio -P"
	}
	return ""
}
