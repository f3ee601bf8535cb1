package distro

import "github.com/ctkeeper/ctkeeper/tree"

// Distribution is what os-release(5) says, or an older release file.
type Distribution struct {
	// ID is debian, ubuntu, centos, rhel, fedora, alpine, arch, opensuse-leap, …;
	// linux where nothing tells.
	ID string
	// Name is for people: "Debian GNU/Linux 12 (bookworm)".
	Name    string
	Version string
	// Like are the IDs it descends from.
	Like []string
}

// Read asks /etc/os-release, /usr/lib/os-release, /etc/redhat-release and
// /etc/alpine-release, in this order.
func Read(t tree.Tree) Distribution { return Distribution{ID: "linux"} }

// Install is the shell command that installs packages without a question.
func (d Distribution) Install(packages ...string) string { return "" }

// ReinstallKernel is the shell command that puts the files of an installed kernel
// release back, or installs the package that has its modules.
func (d Distribution) ReinstallKernel(release string) string { return "" }

// ReinstallExtraModules is the command for a module that this distribution ships in
// a package of its own beside the kernel (Ubuntu's linux-modules-extra-*, RHEL's
// kernel-modules-extra), or "" where it has none.
func (d Distribution) ReinstallExtraModules(release string) string { return "" }

// RebuildInitramfs is the shell command that builds the initramfs of a release
// anew, or "".
func (d Distribution) RebuildInitramfs(release string) string { return "" }

// AddKernelArgument is where this distribution keeps the kernel command line, and the
// shell commands that add an argument to it.
func (d Distribution) AddKernelArgument(t tree.Tree, argument string) (file string, commands []string) {
	return "", nil
}

// RemoveKernelArgument is AddKernelArgument the other way round.
func (d Distribution) RemoveKernelArgument(t tree.Tree, argument string) (file string, commands []string) {
	return "", nil
}
