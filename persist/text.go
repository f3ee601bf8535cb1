package persist

import (
	"math"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// comment returns a comment line. The name of a configuration file in the text must not begin another line.
func comment(text string) string { return "# " + printable.Line(text) + "\n" }

// modprobeText returns the text of the modprobe.d file, "" if there are no options.
func modprobeText(options []option) string {
	if len(options) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(Header + "\n")
	for _, o := range options {
		b.WriteString(comment(o.name + ": " + o.origin))
		if o.name == sysfs.Hashsize {
			b.WriteString(comment("  (the kernel then makes max 8 times this, until something sets max)"))
		}
	}
	b.WriteString("options " + kmod.Conntrack)
	for _, o := range options {
		b.WriteString(" " + o.name + "=" + o.value)
	}
	return b.String() + "\n"
}

// loadText returns the text of the file that loads the module at boot, "" if module.load is off.
func (p *planner) loadText() string {
	if !p.cfg.Module.Load {
		return ""
	}
	from := comment("module.load, " + p.cfg.Origins["module.load"].String())
	// The first of the protocols' modules brings the settings of TCP and UDP, and loads nf_conntrack.
	modules, modprobe := []string{kmod.Conntrack}, "exec /sbin/modprobe -b "
	if len(p.host.protocolModules) > 0 {
		modules, modprobe = append(modules, p.host.protocolModules[0]), modprobe+"-a "
	}
	if p.loadPath() == SysconfigPath {
		return "#!/bin/sh\n" + Header + "\n" + from + modprobe + strings.Join(modules, " ") + "\n"
	}
	return Header + "\n" + from + strings.Join(modules, "\n") + "\n"
}

// sysctlText returns the text of the sysctl.d file, "" if no setting belongs in it. hashsize comes
// before max, as the kernel needs it. With "-", systemd-sysctl (since 243) does not fail if a key is
// absent.
func (p *planner) sysctlText(options []option) string {
	var b strings.Builder
	for _, want := range p.cfg.Wants {
		if !appliesAtLoad(want) {
			continue
		}
		b.WriteString(comment(want.Setting.Name + " " + want.String() + ", " + want.Origin.String()))
		value := strings.Join(strings.Fields(p.sysctlValue(want, options)), " ")
		b.WriteString("-" + want.Setting.Sysctl() + " = " + value + "\n")
	}
	if b.Len() == 0 {
		return ""
	}
	return Header + "\n" + comment("These apply when the daemon is not running.") + b.String()
}

// sysctlValue returns a want as one value. sysctl.d has no at_least, so the value of such a want is
// at least the kernel's default: the file must not lower it.
func (p *planner) sysctlValue(want sysfs.Want, options []option) string {
	n, ok := want.Value.Int()
	if !ok || want.Policy != sysfs.AtLeast {
		return want.Value.String()
	}
	byDefault := n
	buckets := optionNumber(options, sysfs.Hashsize)
	switch want.Setting.Name {
	case sysfs.Hashsize:
		byDefault = max(sysfs.DefaultBuckets(p.host.memory), buckets)
	case "max":
		byDefault = max(sysfs.DefaultBuckets(p.host.memory), sysfs.RoundHashsize(buckets)*sysfs.LoadMaxFactor)
	case "expect_max":
		byDefault = max(p.host.defaultExpectBuckets(options), optionNumber(options, sysfs.ExpectHashsize)) *
			sysfs.ExpectMaxFactor
	}
	if n == 0 && want.Setting.ZeroIsNoLimit {
		return want.Value.String()
	}
	return strconv.FormatInt(min(max(n, byDefault), math.MaxInt32), 10)
}

// udevRuleText returns the text of the udev rule: at the add event of nf_conntrack, and of the modules that
// bring the settings of the protocols, systemd-sysctl applies the keys of conntrack again, both names of max
// among them.
func (h host) udevRuleText() string {
	modules := strings.Join(append([]string{kmod.Conntrack}, h.protocolModules...), "|")
	return Header + "\n" +
		`ACTION=="add", SUBSYSTEM=="module", KERNEL=="` + modules + `", RUN+="` + h.systemdSysctl +
		` --prefix=/net/netfilter --prefix=/net/nf_conntrack_max"` + "\n"
}

// isSetAtRunTime reports whether the configuration sets the same by a sysctl. A built-in nf_conntrack has that before
// the daemon starts, and is never loaded again.
func (p *planner) isSetAtRunTime(o option) bool {
	want, found := p.cfg.Want(sysfs.SettingOf(o.name))
	return found && want.Value.String() == o.value
}

// noteCommandLine notes how to set the options of a built-in nf_conntrack, which does not read
// modprobe.d.
func (p *planner) noteCommandLine(options []option) {
	line, _ := kmod.ReadCommandLine(p.tree) // if it cannot be read, every word has to be added
	has := map[string]string{}
	for _, o := range line.Options(kmod.Conntrack) {
		has[o.Name] = o.Value
	}
	var words []string
	for _, o := range options {
		if has[o.name] != o.value && !p.isSetAtRunTime(o) {
			words = append(words, kmod.Conntrack+"."+o.name+"="+o.value)
		}
	}
	if len(words) == 0 {
		return
	}
	p.note("nf_conntrack is built into this kernel, which reads its options from the kernel command line only: %s",
		strings.Join(words, " "))
	boot := distro.Read(p.tree).ReadBootConfig(p.tree)
	if boot.File() != "" {
		p.note("this host keeps the kernel command line in %s", boot.File())
	}
	for _, step := range boot.Change(nil, words) {
		switch {
		case step.Edit != nil && step.Edit.Old == "":
			p.note("to add to it: %s", step.Edit.New)
		case step.Edit != nil:
			p.note("line %d of it becomes: %s", step.Edit.Line, step.Edit.New)
		case len(step.Command) > 0:
			p.note("then run: %s", change.Render([]change.Step{step}, "")[0])
		}
	}
}
