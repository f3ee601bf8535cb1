package persist

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// comment is a line of a file that explains the next. The name of an odd file in it
// must not begin another line.
func comment(text string) string {
	return "# " + strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text) + "\n"
}

// modprobe is the text of modprobe.d, empty where there is nothing to say.
func (p *planner) modprobe(options []option) string {
	if len(options) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(Header + "\n")
	for _, o := range options {
		b.WriteString(comment(o.name + ": " + o.from))
		if o.name == hashsize {
			b.WriteString(comment("  (with it the kernel makes max 8 times as many, until something sets max)"))
		}
	}
	b.WriteString("options " + kmod.Conntrack)
	for _, o := range options {
		b.WriteString(" " + o.name + "=" + o.value)
	}
	b.WriteString("\n")
	if err := readsBack(b.String(), options); err != nil {
		p.fail(fmt.Errorf("cannot write %s: %w", ModprobePath, err))
		return ""
	}
	return b.String()
}

// load is the text of what loads the module at boot, empty where the configuration does
// not ask for that.
func (p *planner) load() string {
	if !p.cfg.Module.Load {
		return ""
	}
	from := comment("module.load, " + p.cfg.Origins["module.load"])
	if p.loader() == SysconfigPath {
		return "#!/bin/sh\n" + Header + "\n" + from + "exec /sbin/modprobe -b " + kmod.Conntrack + "\n"
	}
	return Header + "\n" + from + kmod.Conntrack + "\n"
}

// sysctls is the text of sysctl.d, in the order in which the kernel takes it: hashsize
// before max. The "-" tells systemd-sysctl (since 243) not to fail where a key is
// absent.
func (p *planner) sysctls(options []option) string {
	var b strings.Builder
	for _, want := range p.cfg.Wants {
		if !asksAtLoad(want) {
			continue
		}
		b.WriteString(comment(want.Setting.Name + " " + want.String() + ", " + want.Origin))
		value := strings.Join(strings.Fields(p.atLeast(want, options)), " ")
		b.WriteString("-" + want.Setting.Sysctl() + " = " + value + "\n")
	}
	if b.Len() == 0 {
		return ""
	}
	return Header + "\n" + comment("A net for when the daemon is not running.") + b.String()
}

// atLeast is a want as one value. sysctl.d knows no at_least, and must not lower the
// tables that the kernel makes by itself.
func (p *planner) atLeast(want sysfs.Want, options []option) string {
	n, err := strconv.ParseInt(want.Value, 10, 64)
	if err != nil || want.Policy != sysfs.AtLeast {
		return want.Value
	}
	own := n
	given := number(options, hashsize)
	switch want.Setting.Name {
	case sysfs.Hashsize:
		own = max(p.host.ownBuckets(), given)
	case "max":
		own = max(p.host.ownBuckets(), sysfs.RoundHashsize(given)*maxFactor)
	case "expect_max":
		own = max(p.host.ownExpectBuckets(options), number(options, expectHashsize)) * expectFactor
	}
	if n == 0 && want.Setting.ZeroIsNoLimit {
		return want.Value
	}
	return strconv.FormatInt(min(max(n, own), math.MaxInt32), 10)
}

// udevRule is the text of the udev rule: the module's uevent has systemd-sysctl apply
// conntrack's keys again, its max under either name.
func udevRule(systemdSysctl string) string {
	return Header + "\n" +
		`ACTION=="add", SUBSYSTEM=="module", KERNEL=="` + kmod.Conntrack + `", RUN+="` + systemdSysctl +
		` --prefix=/net/netfilter --prefix=/net/nf_conntrack_max"` + "\n"
}

// commandLine says how a conntrack in the kernel image gets what modprobe.d cannot
// give it.
func (p *planner) commandLine(options []option) {
	line, _ := kmod.ReadCommandLine(p.tree) // without it every word is one to add
	has := map[string]string{}
	for _, o := range line.Options(kmod.Conntrack) {
		has[o.Name] = o.Value
	}
	var words []string
	for _, o := range options {
		if has[o.name] != o.value {
			words = append(words, kmod.Conntrack+"."+o.name+"="+o.value)
		}
	}
	if len(words) == 0 {
		return
	}
	p.note("nf_conntrack is built into this kernel and takes its options from the kernel command line alone: %s", strings.Join(words, " "))
	var file string
	var commands []string
	host := distro.Read(p.tree)
	for _, word := range words {
		var more []string
		file, more = host.AddKernelArgument(p.tree, word)
		// What makes the line count comes last, and once.
		commands = append(slices.DeleteFunc(commands, func(c string) bool { return slices.Contains(more, c) }), more...)
	}
	if file != "" {
		p.note("this host keeps the kernel command line in %s", file)
	}
	for _, command := range commands {
		p.note("to add to it: %s", command)
	}
}
