package distro

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/change"
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

// Change returns the steps that remove every occurrence of arguments from the kernel command line that a host
// keeps, and add others. An argument that it has already is not added. There is an obstacle if the file is
// unknown, if it does not have an argument to remove, or if an argument has a character that is special to a
// shell or a boot loader.
func (s BootConfig) Change(remove, add []string) []change.Step {
	arguments := slices.Concat(remove, add)
	for _, argument := range arguments {
		if !isPlain(argument) {
			return []change.Step{change.Block("An argument of the kernel command line has special characters.")}
		}
	}
	switch {
	case len(arguments) == 0:
		return nil
	case s.file == "":
		return []change.Step{change.Block("The kernel command line is kept in " + s.place + ".")}
	case s.tool.command != nil:
		return s.tool.run(remove, add)
	}
	var steps []change.Step
	for i, text := range s.texts {
		lines := slices.Clone(text.Lines)
		for at := range lines {
			lines[at] = s.removeFrom(lines[at], remove)
		}
		if i == 0 {
			lines = s.addTo(lines, add)
		}
		steps = append(steps, text.Edits(lines)...)
	}
	for _, argument := range remove {
		if !slices.ContainsFunc(s.texts, func(t change.Text) bool {
			return slices.ContainsFunc(t.Lines, func(line string) bool { return s.has(line, argument) })
		}) {
			steps = append(steps, change.Block(argument+" is on the kernel command line, and not in "+s.file+"."))
		}
	}
	return append(steps, s.then...)
}

// tool is a program that changes the kernel command line.
type tool struct {
	command []string
	// remove and add precede an argument.
	remove, add string
}

func grubby() tool {
	return tool{[]string{"grubby", "--update-kernel=ALL"}, "--remove-args=", "--args="}
}

func rpmOSTree() tool {
	return tool{[]string{"rpm-ostree", "kargs"}, "--delete-if-present=", "--append-if-missing="}
}

func (t tool) run(remove, add []string) []change.Step {
	var steps []change.Step
	for _, argument := range remove {
		steps = append(steps, change.Run(append(slices.Clone(t.command), t.remove+argument)...))
	}
	for _, argument := range add {
		steps = append(steps, change.Run(append(slices.Clone(t.command), t.add+argument)...))
	}
	return steps
}

// isArguments reports whether a line has arguments of the kernel.
func (s BootConfig) isArguments(line string) bool {
	if s.variable == "" {
		return !strings.HasPrefix(line, "#")
	}
	return regexp.MustCompile(`^[[:space:]]*(export )?` + s.variable + `[A-Z_]*=`).MatchString(line)
}

// pattern matches an argument with what is before and behind it.
func (s BootConfig) pattern(argument string) *regexp.Regexp {
	if s.variable == "" {
		return regexp.MustCompile(`(^|[ \t])` + regexp.QuoteMeta(argument) + `([ \t]|$)`)
	}
	return regexp.MustCompile(`(` + s.variable + `[A-Z_]*=|[ "'])` + regexp.QuoteMeta(argument) + `($|[ "'])`)
}

func (s BootConfig) has(line, argument string) bool {
	return s.isArguments(line) && s.pattern(argument).MatchString(line)
}

// removeFrom returns a line without arguments. A line that Change added becomes a comment.
func (s BootConfig) removeFrom(line string, arguments []string) string {
	for _, argument := range arguments {
		if s.variable != "" && line == s.addition(argument) {
			return "# " + line
		}
		for s.has(line, argument) { // two adjacent occurrences share the blank between them
			line = s.pattern(argument).ReplaceAllString(line, "$1$2")
		}
	}
	return line
}

// addition returns the line of a shell script that adds an argument.
func (s BootConfig) addition(argument string) string {
	return s.variable + `="$` + s.variable + " " + argument + `"`
}

// addTo adds arguments to the lines of the file: to a script at its end, else to the first line with arguments.
func (s BootConfig) addTo(lines, arguments []string) []string {
	for _, argument := range arguments {
		if s.variable != "" {
			if !slices.Contains(lines, s.addition(argument)) {
				lines = append(lines, s.addition(argument))
			}
			continue
		}
		if slices.ContainsFunc(lines, func(line string) bool { return s.has(line, argument) }) {
			continue
		}
		i := slices.IndexFunc(lines, func(line string) bool { return s.isArguments(line) && line != "" })
		if i < 0 {
			lines = append(lines, argument)
			continue
		}
		lines[i] = strings.TrimRight(lines[i], " \t") + " " + argument
	}
	return lines
}

// BootConfig is where a host keeps its kernel command line; see ReadBootConfig.
type BootConfig struct {
	// file is "" if it is unknown.
	file string
	// texts are the file and, of grub's, the drop-ins that Debian's grub-mkconfig reads too.
	texts []change.Text
	// variable is the shell variable with the command line, if the file is a shell script.
	variable string
	// then are the commands that apply a changed file to the boot loader.
	then []change.Step
	// tool changes the file, if its command is not nil.
	tool tool
	// place is where people change the command line if the file is unknown.
	place string
}

// File returns the file, or the directory, that keeps the command line; "" if it is unknown.
func (s BootConfig) File() string { return s.file }

// Texts returns the files that Change edits.
func (s BootConfig) Texts() []change.Text { return s.texts }

// ReadBootConfig finds where a host keeps its kernel command line.
func (d Distribution) ReadBootConfig(t tree.Tree) BootConfig {
	for _, file := range []string{"/boot/firmware/cmdline.txt", "/boot/cmdline.txt"} {
		if t.Exists(file) && t.Exists(path.Join(path.Dir(file), "config.txt")) { // the firmware of a Raspberry Pi
			return BootConfig{file: file, texts: readTexts(t, file)}
		}
	}
	switch {
	case d.Platform.Name == "ostree" && t.Exists("/usr/bin/rpm-ostree"):
		return BootConfig{file: grubbyEntries, tool: rpmOSTree()}
	case d.Platform.Kernel != "":
		return BootConfig{place: cmp.Or(d.Platform.AddArgument, d.Platform.Kernel)}
	case d.family() == redHat && d.ID != "amzn" || t.Exists("/sbin/grubby") || t.Exists("/usr/sbin/grubby"):
		return BootConfig{file: grubbyFile(t), tool: grubby()}
	case t.Exists(installFile) && (t.Exists(proxmoxFile) || !t.Exists(grubFile)):
		return BootConfig{file: installFile, texts: readTexts(t, installFile), then: d.afterInstallFile(t)}
	case t.Exists(extlinuxFile):
		return BootConfig{
			file: extlinuxFile, texts: readTexts(t, extlinuxFile), variable: "default_kernel_opts",
			then: []change.Step{change.Run("update-extlinux")},
		}
	case t.Exists(grubFile):
		return BootConfig{
			file: grubFile, texts: readTexts(t, append([]string{grubFile}, listGrubDrops(t)...)...),
			variable: "GRUB_CMDLINE_LINUX", then: []change.Step{d.makeGrub(t)},
		}
	}
	return BootConfig{place: "a file of the boot loader that ctkeeper does not know"}
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
func (d Distribution) afterInstallFile(t tree.Tree) []change.Step {
	switch {
	case t.Exists(proxmoxFile):
		return []change.Step{change.Run("proxmox-boot-tool", "refresh")}
	case d.family() == arch:
		return []change.Step{change.Run("mkinitcpio", "-P")}
	case d.family() == debian:
		return []change.Step{change.Run("sh", "-c", "for kernel in /boot/vmlinuz-*; do "+
			`kernel-install add "${kernel#/boot/vmlinuz-}" "$kernel"; done`)}
	}
	return []change.Step{change.Run("sh", "-c",
		`for dir in /usr/lib/modules/*; do kernel-install add "${dir##*/}" "$dir/vmlinuz"; done`)}
}

// makeGrub returns the command that generates grub's configuration.
func (d Distribution) makeGrub(t tree.Tree) change.Step {
	switch {
	case d.family() == debian:
		return change.Run("update-grub")
	case d.family() == redHat || d.family() == suse || t.Exists("/boot/grub2"):
		return change.Run("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg")
	}
	return change.Run("grub-mkconfig", "-o", "/boot/grub/grub.cfg")
}

// readTexts reads a file and drop-ins.
func readTexts(t tree.Tree, files ...string) []change.Text {
	var texts []change.Text
	for _, file := range files {
		if content, err := t.Read(file, maxRelease); err == nil {
			texts = append(texts, change.NewText(file, string(content)))
		}
	}
	return texts
}

// listGrubDrops returns the drop-ins of grub's file.
func listGrubDrops(t tree.Tree) []string {
	var files []string
	names, _ := t.List(grubDrops) // most hosts have none
	for _, name := range names {
		if strings.HasSuffix(name, ".cfg") {
			files = append(files, path.Join(grubDrops, name))
		}
	}
	return files
}

// isPlain reports whether an argument has no character that is special to a shell, even between its double
// quotes, or to a boot loader.
func isPlain(argument string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.,:=/+-]*$`).MatchString(argument)
}
