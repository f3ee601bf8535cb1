package distro

import (
	"regexp"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/shell"
)

// ReinstallKernel is the shell command that puts the files of an installed kernel
// release back, or installs the package that has its modules; "" on a distribution
// that is not known.
func (d Distribution) ReinstallKernel(release string) string {
	switch d.family() {
	case debian:
		return d.reinstallDebian(release)
	case redHat:
		return d.reinstallRedHat(release)
	case suse:
		// A package's release has a rebuild count behind the kernel's; its Provides has not.
		version, flavour := flavoured(release, "default")
		return "zypper --non-interactive install --force " + shell.Quote("kernel-"+flavour+"="+version)
	case alpine:
		_, flavour := flavoured(release, "lts")
		return "apk fix " + shell.Quote("linux-"+flavour)
	case arch:
		return "pacman -S --noconfirm " + archPackage(release)
	}
	return ""
}

// flavoured takes what is behind the last dash off a release, if it is a word.
func flavoured(release, otherwise string) (version, flavour string) {
	if m := regexp.MustCompile(`^(.*)-([a-z][a-z0-9]*)$`).FindStringSubmatch(release); m != nil {
		return m[1], m[2]
	}
	return release, otherwise
}

func archPackage(release string) string {
	if m := regexp.MustCompile(`-(lts|zen|hardened|rt|rt-lts)$`).FindStringSubmatch(release); m != nil {
		return "linux-" + m[1]
	}
	return "linux"
}

// reinstallDebian leaves it to apt-get(8) to tell which packages there are: the
// modules of Ubuntu, and of Debian's kernels since 7, have one of their own beside
// linux-image.
func (d Distribution) reinstallDebian(release string) string {
	const command = "apt-get install -y --reinstall "
	switch {
	case strings.HasSuffix(release, "-pve"): // proxmox-kernel-* or pve-kernel-*, signed or not: what is installed
		return command + "$(dpkg-query --show --showformat '${Package} ' " + shell.Quote("*-kernel-"+release+"*") + ")"
	case d.is("raspbian") && strings.HasSuffix(release, "+"): // all of its kernels are in one package
		return command + "raspberrypi-kernel"
	}
	return command + shell.Quote("^linux-(image|modules)-"+regexp.QuoteMeta(release)+"$")
}

func (d Distribution) reinstallRedHat(release string) string {
	manager := d.manager()
	// The release of a variant ends in "+rt", "+debug" or "+64k", which its packages
	// have in their names.
	base, variant, _ := strings.Cut(release, "+")
	kernel := "kernel-"
	if variant != "" {
		kernel += variant + "-"
	}
	switch {
	case strings.Contains(release, "uek"):
		return manager + " reinstall -y " + shell.Quote("kernel-uek*-"+release)
	case d.ID == "amzn" && !d.yum(): // kernel, kernel6.12, …
		return manager + " reinstall -y " + shell.Quote("kernel*-"+release)
	case d.yum():
		name := shell.Quote(kernel + base)
		return "yum install -y " + name + " && yum reinstall -y " + name
	}
	// kernel-modules-core is a package since Fedora 38 and RHEL 9.2.
	core, modules := shell.Quote(kernel+"core-"+base), shell.Quote(kernel+"modules-"+base)
	return manager + " install -y " + core + " " + modules + " && " +
		manager + " reinstall -y " + core + " " + shell.Quote(kernel+"modules*-"+base)
}

// ReinstallExtraModules is the command for a module that this distribution ships in
// a package of its own beside the kernel (Ubuntu's linux-modules-extra-*, RHEL's
// kernel-modules-extra), or "" where it has none.
func (d Distribution) ReinstallExtraModules(release string) string {
	switch {
	case d.is("ubuntu"):
		// Up to 16.04 it was linux-image-extra.
		return "apt-get install -y --reinstall " + shell.Quote("^linux-(image|modules)-extra-"+regexp.QuoteMeta(release)+"$")
	case d.family() == redHat && !d.yum() && d.ID != "amzn":
		base, variant, _ := strings.Cut(release, "+")
		name := "kernel-modules-extra-" + base
		switch {
		case strings.Contains(release, "uek"):
			name = "kernel-uek-modules-extra-" + base
		case variant != "":
			name = "kernel-" + variant + "-modules-extra-" + base
		}
		return "dnf install -y " + shell.Quote(name) + " && dnf reinstall -y " + shell.Quote(name)
	}
	return ""
}

// RebuildInitramfs is the shell command that builds the initramfs of a release
// anew, or "".
func (d Distribution) RebuildInitramfs(release string) string {
	switch d.family() {
	case debian:
		return "update-initramfs -u -k " + shell.Quote(release)
	case redHat:
		if d.yum() && d.major() == 6 { // dracut(8) has no --kver there
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
