package distro

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	grubFile      = "/etc/default/grub"
	grubDrops     = "/etc/default/grub.d"
	extlinuxFile  = "/etc/update-extlinux.conf"
	installFile   = "/etc/kernel/cmdline"
	proxmoxFile   = "/etc/kernel/proxmox-boot-uuids"
	grubbyEntries = "/boot/loader/entries"
)

// AddArgument returns the file that keeps the kernel command line, and the shell commands that add an
// argument to it. They change nothing if the file already has the argument. It returns no commands if the
// file is unknown, or if the argument has a character that is special to a shell or a boot loader.
func (s BootConfig) AddArgument(argument string) (file string, commands []string) {
	if !isPlain(argument) || s.file == "" {
		return s.file, nil
	}
	switch {
	case s.ostree:
		return s.file, []string{"rpm-ostree kargs --append-if-missing=" + shell.Quote(argument)}
	case s.grubby:
		return s.file, []string{"grubby --update-kernel=ALL --args=" + shell.Quote(argument)}
	case s.variable != "":
		line := shell.Quote(s.variable + `="$` + s.variable + " " + argument + `"`)
		command := "grep -qxF " + line + " " + s.file + " || echo " + line + " >> " + s.file
		return s.file, append([]string{command}, s.then...)
	}
	pattern := shell.Quote("(^| )" + escape(argument) + "( |$)")
	script := shell.Quote("1s/[[:space:]]*$/ " + strings.ReplaceAll(argument, "/", `\/`) + "/")
	command := "grep -qE " + pattern + " " + s.file + " || sed -i " + script + " " + s.file
	return s.file, append([]string{command}, s.then...)
}

// RemoveArgument returns the file, and the shell commands that remove every occurrence of an argument from
// the kernel command line in it. It returns no commands in the same cases as AddArgument.
func (s BootConfig) RemoveArgument(argument string) (file string, commands []string) {
	if !isPlain(argument) || s.file == "" {
		return s.file, nil
	}
	if s.ostree {
		return s.file, []string{"rpm-ostree kargs --delete-if-present=" + shell.Quote(argument)}
	}
	if s.grubby {
		return s.file, []string{"grubby --update-kernel=ALL --remove-args=" + shell.Quote(argument)}
	}
	file = s.file
	if file == grubFile {
		file = s.grubFileWith(argument)
	}
	argument = escape(argument)
	var script []string
	before, behind := "^| ", " |$"
	if s.variable != "" {
		script = []string{
			`/^` + s.variable + `="\$` + s.variable + ` ` + argument + `"$/d`, // a line that AddArgument added
			`/^[[:space:]]*(export )?` + s.variable + `/!b`,
		}
		before, behind = s.variable+`[A-Z_]*=|[ "']`, `$|[ "']`
	}
	// The loop is needed because two adjacent occurrences share the blank between them.
	script = append(script, ":a", "s/("+before+")"+argument+"("+behind+`)/\1\2/`, "ta")
	command := "sed -i -E"
	for _, line := range script {
		command += " -e " + shell.Quote(line)
	}
	return file, append([]string{command + " " + file}, s.then...)
}

// BootConfig is where a host keeps its kernel command line; see ReadBootConfig.
type BootConfig struct {
	// file is "" if it is unknown.
	file string
	// variable is the shell variable with the command line, if the file is a shell script.
	variable string
	// then are the commands that apply a changed file to the boot loader.
	then   []string
	grubby bool
	// ostree is true where rpm-ostree(1) keeps the kernel command line, with each deployment.
	ostree bool
	// grubDrops are the drop-ins of grub's file, in the order in which grub-mkconfig reads them.
	grubDrops []grubDrop
}

type grubDrop struct{ file, text string }

// ReadBootConfig finds where a host keeps its kernel command line.
func (d Distribution) ReadBootConfig(t tree.Tree) BootConfig {
	for _, file := range []string{"/boot/firmware/cmdline.txt", "/boot/cmdline.txt"} {
		if t.Exists(file) && t.Exists(path.Join(path.Dir(file), "config.txt")) { // the firmware of a Raspberry Pi
			return BootConfig{file: file}
		}
	}
	switch {
	case d.Platform.Name == "ostree" && t.Exists("/usr/bin/rpm-ostree"):
		return BootConfig{file: grubbyEntries, ostree: true}
	case d.Platform.Kernel != "":
		return BootConfig{}
	case d.family() == redHat && d.ID != "amzn" || t.Exists("/sbin/grubby") || t.Exists("/usr/sbin/grubby"):
		return BootConfig{file: grubbyFile(t), grubby: true}
	case t.Exists(installFile) && (t.Exists(proxmoxFile) || !t.Exists(grubFile)):
		return BootConfig{file: installFile, then: d.afterInstallFile(t)}
	case t.Exists(extlinuxFile):
		return BootConfig{file: extlinuxFile, variable: "default_kernel_opts", then: []string{"update-extlinux"}}
	case t.Exists(grubFile):
		return BootConfig{
			file: grubFile, variable: "GRUB_CMDLINE_LINUX",
			then: []string{d.makeGrub(t)}, grubDrops: readGrubDrops(t),
		}
	}
	return BootConfig{}
}

// grubbyFile returns where grubby(8) writes.
func grubbyFile(t tree.Tree) string {
	for _, file := range []string{grubbyEntries, "/boot/grub/grub.conf"} {
		if t.Exists(file) {
			return file
		}
	}
	return grubFile
}

// afterInstallFile returns the commands that write a new command line to the boot entries
// (kernel-install(8)).
func (d Distribution) afterInstallFile(t tree.Tree) []string {
	switch {
	case t.Exists(proxmoxFile):
		return []string{"proxmox-boot-tool refresh"}
	case d.family() == arch:
		return []string{"mkinitcpio -P"}
	case d.family() == debian:
		return []string{"for kernel in /boot/vmlinuz-*; do " +
			`kernel-install add "${kernel#/boot/vmlinuz-}" "$kernel"; done`}
	}
	return []string{`for dir in /usr/lib/modules/*; do kernel-install add "${dir##*/}" "$dir/vmlinuz"; done`}
}

// makeGrub returns the command that generates grub's configuration.
func (d Distribution) makeGrub(t tree.Tree) string {
	switch {
	case d.family() == debian:
		return "update-grub"
	case d.family() == redHat || d.family() == suse || t.Exists("/boot/grub2"):
		return "grub2-mkconfig -o /boot/grub2/grub.cfg"
	}
	return "grub-mkconfig -o /boot/grub/grub.cfg"
}

// readGrubDrops reads the drop-ins of grub's file: Debian's grub-mkconfig reads them too.
func readGrubDrops(t tree.Tree) []grubDrop {
	var drops []grubDrop
	names, _ := t.List(grubDrops) // most hosts have none
	for _, name := range names {
		if file := path.Join(grubDrops, name); strings.HasSuffix(file, ".cfg") && shell.Quote(file) == file {
			if text, err := t.Read(file, maxRelease); err == nil {
				drops = append(drops, grubDrop{file, string(text)})
			}
		}
	}
	return drops
}

// grubFileWith returns the last file of grub that has an argument, in reading order, or grubFile.
func (s BootConfig) grubFileWith(argument string) string {
	has := regexp.MustCompile(`(?m)^[^#]*[ "'=]` + regexp.QuoteMeta(argument) + `($|[ "'])`)
	for _, drop := range slices.Backward(s.grubDrops) {
		if has.MatchString(drop.text) {
			return drop.file
		}
	}
	return grubFile
}

// isPlain reports whether an argument has no character that is special to a shell, even between its double
// quotes, to sed(1) once escaped, or to a boot loader.
func isPlain(argument string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.,:=/+-]*$`).MatchString(argument)
}

// escape returns an argument that isPlain as an extended regular expression.
func escape(argument string) string {
	return strings.NewReplacer(".", `\.`, "+", `\+`, "/", `\/`).Replace(argument)
}
