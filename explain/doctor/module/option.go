package module

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// parameterKinds returns the parameters of nf_conntrack whose values the kernel checks when it loads the
// module (kernel_param_ops in nf_conntrack_standalone.c and other files).
func parameterKinds() map[string]string {
	return map[string]string{
		"hashsize": "uint", "expect_hashsize": "uint",
		"acct": "bool", "tstamp": "bool", "nf_conntrack_helper": "bool", "enable_hooks": "bool",
	}
}

// options returns the parameters with which the module is loaded.
func options(h *picture.Host) []kmod.Option {
	return slices.Concat(h.Inventory.Modprobe.Options(kmod.Conntrack), h.CommandLine.Options(kmod.Conntrack))
}

// checkParameters reports values with which the module does not load.
func checkParameters(h *picture.Host) []finding.Finding {
	if h.IsBuiltIn() {
		return nil
	}
	var bad []kmod.Option
	f := finding.Finding{ID: "bad-parameter", Severity: severity(h)}
	for _, o := range options(h) {
		if why := refusal(h, o); why != "" {
			bad = append(bad, o)
			f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)+": "+why))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	f.Evidence = append(f.Evidence, h.Logged(func(message string) bool {
		isInvalid := strings.Contains(message, "nf_conntrack: ") && strings.Contains(message, " invalid for parameter ")
		return isInvalid || isShortOfMemory(message)
	})...)
	f.Summary = "nf_conntrack does not load with " + format(bad[0])
	if len(bad) > 1 {
		f.Summary += fmt.Sprintf(", nor with %d other values", len(bad)-1)
	}
	steps, others := correctOptions(h, bad)
	f.Fix = slices.Concat(steps, removeOptions(h, others), []finding.Step{fixes.LoadModule()})
	if slices.ContainsFunc(bad, func(o kmod.Option) bool { return o.File == picture.CommandLineFile }) {
		f.Fix[len(f.Fix)-1] = fixes.Reboot(h) // the running kernel keeps its command line
	}
	return []finding.Finding{f}
}

// format returns an option as it is written in a line of modprobe.d, or as a word of the kernel command
// line.
func format(o kmod.Option) string {
	text := o.Name
	if !o.Bare {
		text += "=" + o.Value
	}
	if o.File == picture.CommandLineFile {
		return kmod.Conntrack + "." + text
	}
	return text
}

// refusal returns why the module does not load with an option; "" where it does.
func refusal(h *picture.Host, o kmod.Option) string {
	switch parameterKinds()[o.Name] {
	case "bool":
		if _, isBool := sysfs.ParseBool(o.Value); !o.Bare && !isBool {
			return "is not a bool (0 or 1, y or n)"
		}
	case "uint":
		n, isNumber := sysfs.ParseUint(o.Value)
		if o.Bare || !isNumber {
			return fmt.Sprintf("is not a number from 0 to %d", uint32(math.MaxUint32))
		}
		// Kernels before 5.15 allocate more than 2 GiB. Then the live table shows that it is possible.
		isLive := o.Name == "hashsize" && h.Figures.Buckets != nil && *h.Figures.Buckets >= n
		if why := tooLarge(n, h.MemTotal); why != "" && !isLive {
			return why
		}
	}
	isInvalid := picture.Containing("`" + o.Value + "' invalid for parameter `" + o.Name + "'")
	logged := h.Logged(func(m string) bool { return strings.Contains(m, "nf_conntrack: ") && isInvalid(m) })
	if !h.IsLoaded(kmod.Conntrack) && len(logged) > 0 {
		return "is invalid, by the kernel's log"
	}
	return ""
}

// tooLarge returns why a table with that many buckets cannot be allocated. kvmalloc_node allocates at
// most INT_MAX bytes, and vmalloc(9) no more pages than exist. With zero buckets the kernel chooses the
// size.
func tooLarge(buckets, memory int64) string {
	bytes := buckets * sysfs.BucketBytes // 35 bits at most
	switch {
	case memory > 0 && bytes > memory:
		return fmt.Sprintf("needs %s of memory, and this host has %s", config.FormatBytes(bytes),
			config.FormatBytes(memory))
	case bytes > math.MaxInt32:
		return fmt.Sprintf("needs %s of memory, and the kernel allocates at most 2 GiB at once",
			config.FormatBytes(bytes))
	}
	return ""
}

// meantValue returns the value that was meant by a parameter that the kernel refuses; "" where it is not known.
func meantValue(h *picture.Host, o kmod.Option) string {
	for _, a := range h.Inventory.Assignments {
		if a.Parameter && a.Invalid && a.Place == o.Place && a.Name == o.Name {
			return a.Meant
		}
	}
	return ""
}

// correctOptions returns the steps that write the values that were meant, and the options without one.
func correctOptions(h *picture.Host, bad []kmod.Option) (steps []finding.Step, others []kmod.Option) {
	for _, o := range bad {
		value := meantValue(h, o)
		if value == "" || o.File == picture.CommandLineFile {
			others = append(others, o)
			continue
		}
		name := strings.ReplaceAll(regexp.QuoteMeta(o.Name), "_", "[-_]")
		written := regexp.MustCompile(`"?` + name + `[[:space:]]*=[[:space:]]*[^[:space:]]*`)
		steps = append(steps, fixes.Edit(h, []tree.Place{o.Place}, func(_ tree.Place, line string) string {
			return written.ReplaceAllString(line, o.Name+"="+value)
		})...)
	}
	return steps, others
}

// removeOptions returns the steps that remove parameters, and add arguments to the kernel command line.
func removeOptions(h *picture.Host, options []kmod.Option, arguments ...string) []finding.Step {
	var steps []finding.Step
	var words []string
	var lines []kmod.Option
	for _, o := range options {
		switch {
		case o.File == picture.CommandLineFile:
			words = append(words, format(o))
		case o.File == persist.ModprobePath && slices.Contains(h.Inventory.PersistFiles, o.File):
			steps = []finding.Step{change.Run("ctkeeper", "persist")}
		default:
			lines = append(lines, o)
		}
	}
	return slices.Concat(steps, fixes.RemoveOptions(h, lines), h.Boot.Change(words, arguments))
}

// checkUnknownParameters reports parameters that the module does not have. The kernel logs and ignores
// them (unknown_module_param_cb of kernel/module/main.c).
func checkUnknownParameters(h *picture.Host) []finding.Finding {
	known := knownParameters(h)
	if len(known) == 0 || h.IsBuiltIn() {
		return nil
	}
	var unknown []kmod.Option
	f := finding.Finding{ID: "unknown-parameter", Severity: finding.Info}
	for _, o := range options(h) {
		isPart := slices.ContainsFunc(h.Inventory.Assignments, func(a inventory.Assignment) bool {
			return a.Parameter && a.Meant != "" && a.Place == o.Place && (o.Name == "=" || o.Name == a.Meant)
		})
		if !known[o.Name] && !isPart { // of "hashsize = 262144", which has its own finding
			unknown = append(unknown, o)
			f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if !slices.ContainsFunc(unknown, func(o kmod.Option) bool {
		return o.Name != "nf_conntrack_helper" || o.Value != "0"
	}) {
		f.Severity = finding.Info // newer kernels always do what this asks for
	}
	f.Evidence = append(f.Evidence, h.Logged(picture.Containing("nf_conntrack: unknown parameter"))...)
	f.Summary = "nf_conntrack has no parameter " + unknown[0].Name + ": the kernel ignores it"
	f.Fix = removeOptions(h, unknown)
	if slices.ContainsFunc(unknown, func(o kmod.Option) bool { return strings.HasSuffix(o.Name, "max") }) {
		f.Severity = finding.Warning // a value is lost
		f.Note = "max is not a parameter of the module. Use settings.max or settings.expect_max in " +
			"/etc/ctkeeper/ctkeeper.yaml."
	}
	return []finding.Finding{f}
}

// knownParameters returns the parameters that a kernel of this host has; none where that is not known.
// The module's file does not list hashsize, and sysfs does not list enable_hooks.
func knownParameters(h *picture.Host) map[string]bool {
	names := map[string]bool{}
	for name := range h.Parameters {
		names[name] = true
	}
	for _, k := range h.Kernels {
		for name := range k.Files[kmod.Conntrack].Info.Parameters {
			names[name] = true
		}
	}
	if len(names) > 0 {
		names["hashsize"], names["enable_hooks"] = true, true
	}
	return names
}

// checkBuiltIn reports that the module is part of the kernel image, and options in modprobe.d that have
// no effect because of it.
func checkBuiltIn(h *picture.Host) []finding.Finding {
	if !h.IsBuiltIn() {
		return nil
	}
	f := finding.Finding{
		ID: "module-built-in", Severity: finding.Info,
		Summary:  "nf_conntrack is part of the kernel image: it is always there, and modprobe.d does not apply to it",
		Evidence: []finding.Evidence{finding.Seen("/sys/module/nf_conntrack", 0, "has parameters, and no initstate")},
	}
	if h.Module.State != kmod.BuiltIn {
		f.Evidence = []finding.Evidence{finding.Seen(h.Index.Dir+"/modules.builtin", 0, "lists nf_conntrack")}
	}
	options := h.Inventory.Modprobe.Options(kmod.Conntrack)
	if len(options) == 0 {
		return []finding.Finding{f}
	}
	f.Severity = finding.Warning
	f.Summary = "nf_conntrack is part of the kernel image: its options in modprobe.d have no effect"
	var arguments []string
	for _, o := range options {
		f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)))
		_, isGiven := h.CommandLine.Value(kmod.Conntrack + "." + o.Name)
		if !isGiven && parameterKinds()[o.Name] != "" && refusal(h, o) == "" {
			arguments = append(arguments, kmod.Conntrack+"."+format(o))
		}
	}
	f.Fix = removeOptions(h, options, arguments...)
	f.Note = "The kernel command line takes effect with the next boot."
	return []finding.Finding{f}
}
