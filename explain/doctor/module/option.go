package module

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
)

// bytesPerBucket is sizeof(struct hlist_nulls_head).
const bytesPerBucket = 8

// parameterKinds are the parameters of nf_conntrack whose values the kernel checks when it
// loads the module (kernel_param_ops of nf_conntrack_standalone.c and its like).
func parameterKinds() map[string]string {
	return map[string]string{
		"hashsize": "uint", "expect_hashsize": "uint",
		"acct": "bool", "tstamp": "bool", "nf_conntrack_helper": "bool", "enable_hooks": "bool",
	}
}

// options are the parameters that the module gets when it is loaded.
func options(h *picture.Host) []kmod.Option {
	return slices.Concat(h.Inventory.Modprobe.Options(kmod.Conntrack), h.CommandLine.Options(kmod.Conntrack))
}

// checkParameters asks whether a parameter has a value that the module does not load with.
func checkParameters(h *picture.Host) []finding.Finding {
	if h.IsBuiltIn() {
		return nil
	}
	var bad []kmod.Option
	f := finding.Finding{ID: "bad-parameter", Severity: severity(h)}
	for _, o := range options(h) {
		why := refusal(h, o)
		if why == "" {
			continue
		}
		bad = append(bad, o)
		f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)+": "+why))
	}
	if len(bad) == 0 {
		return nil
	}
	f.Evidence = append(f.Evidence, h.Logged(func(message string) bool {
		return strings.Contains(message, "nf_conntrack: ") && strings.Contains(message, " invalid for parameter ") || isShortOfMemory(message)
	})...)
	f.Summary = "nf_conntrack does not load with " + format(bad[0])
	if len(bad) > 1 {
		f.Summary += fmt.Sprintf(", nor with %d other values", len(bad)-1)
	}
	f.Fix = append(removeOptions(h, bad), fixes.LoadModule)
	if slices.ContainsFunc(bad, func(o kmod.Option) bool { return o.File == picture.CommandLineFile }) {
		f.Fix[len(f.Fix)-1] = fixes.Reboot(h) // the running kernel keeps its command line
	}
	return []finding.Finding{f}
}

// format is an option as it stands on a line of modprobe.d, or as a word of the
// kernel command line.
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

// refusal says why the module does not load with an option; empty where it does.
func refusal(h *picture.Host, o kmod.Option) string {
	switch parameterKinds()[o.Name] {
	case "bool":
		if !o.Bare && !isBool(o.Value) {
			return "is not a bool (0 or 1, y or n)"
		}
	case "uint":
		n, err := parseUint(o.Value)
		if o.Bare || err != nil {
			return fmt.Sprintf("is not a number from 0 to %d", uint32(math.MaxUint32))
		}
		// Kernels before 5.15 allocate more than 2 GiB: then the live table shows it.
		proven := o.Name == "hashsize" && h.Figures.Buckets != nil && uint64(max(0, *h.Figures.Buckets)) >= n
		if why := tooLarge(n, h.MemTotal); why != "" && !proven {
			return why
		}
	}
	invalid := picture.Containing("`" + o.Value + "' invalid for parameter `" + o.Name + "'")
	if !h.IsLoaded(kmod.Conntrack) && len(h.Logged(func(m string) bool { return strings.Contains(m, "nf_conntrack: ") && invalid(m) })) > 0 {
		return "the kernel's log says that it is invalid"
	}
	return ""
}

// parseUint reads a number as the kernel's kstrtouint does in base 0: decimal, 0x and
// hexadecimal digits, or 0 and octal ones; a plus sign may stand before it.
func parseUint(text string) (uint64, error) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "+"), "\n")
	base := 10
	switch {
	case len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X"):
		text, base = text[2:], 16
	case len(text) > 1 && text[0] == '0':
		base = 8
	}
	return strconv.ParseUint(text, base, 32)
}

// isBool is the kernel's kstrtobool, which looks at no more than it needs; kernels
// that do not take t and f say so in their log.
func isBool(text string) bool {
	text = strings.ToLower(text)
	return text != "" && strings.ContainsRune("yn01tf", rune(text[0])) || strings.HasPrefix(text, "on") || strings.HasPrefix(text, "of")
}

// tooLarge says why a table of so many buckets cannot be allocated: kvmalloc_node
// takes INT_MAX bytes at most, vmalloc(9) no more pages than there are. Zero
// buckets leave the size to the kernel.
func tooLarge(buckets uint64, memory int64) string {
	bytes := int64(buckets) * bytesPerBucket // 35 bits at most
	switch {
	case memory > 0 && bytes > memory:
		return fmt.Sprintf("takes %s of memory, and this host has %s", config.FormatBytes(bytes), config.FormatBytes(memory))
	case bytes > math.MaxInt32:
		return fmt.Sprintf("takes %s of memory, and the kernel allocates no more than 2 GiB at once", config.FormatBytes(bytes))
	}
	return ""
}

// removeOptions gives the commands that take options away and leave the others of their lines.
func removeOptions(h *picture.Host, options []kmod.Option) []string {
	scripts := map[string][]string{}
	var commands []string
	for _, o := range options {
		switch {
		case o.File == picture.CommandLineFile:
			_, remove := h.Distro.RemoveKernelArgument(h.Tree, format(o))
			commands = append(commands, remove...)
		case o.File == persist.ModprobePath && isOurs(h, o.File):
			commands = append(commands, "ctkeeper persist")
		default:
			scripts[o.File] = finding.Unique(append(scripts[o.File], removeScript(o)))
		}
	}
	for _, file := range slices.Sorted(maps.Keys(scripts)) {
		commands = append(commands, fixes.EditJoined(h, file, scripts[file]))
	}
	return finding.Unique(commands)
}

// removeScript takes one option out of its lines. A line that is left without any
// goes out of force: modprobe complains of it.
func removeScript(o kmod.Option) string {
	line := "^[[:space:]]*options[[:space:]]*" + modulePattern(kmod.Conntrack)
	word := "[[:space:]]" + modulePattern(o.Name)
	if !o.Bare {
		word += `="*` + fixes.Literal(o.Value) + `"*`
	}
	return "/" + line + "[[:space:]]/{" +
		"s/" + word + `[[:space:]]*$//;s/` + word + `\([[:space:]]\)/\1/g;s/` + line + "[[:space:]]*$/# &/;}"
}

// isOurs reports whether persist wrote a file.
func isOurs(h *picture.Host, file string) bool {
	data, err := h.Tree.Read(file, 1<<20)
	return err == nil && strings.HasPrefix(string(data), persist.Header)
}

// checkUnknownParameters asks for parameters that the module does not have: the kernel
// logs them and goes on without (unknown_module_param_cb of kernel/module/main.c).
func checkUnknownParameters(h *picture.Host) []finding.Finding {
	known := knownParameters(h)
	if len(known) == 0 || h.IsBuiltIn() {
		return nil
	}
	var unknown []kmod.Option
	f := finding.Finding{ID: "unknown-parameter", Severity: finding.Warning}
	for _, o := range options(h) {
		if !known[o.Name] {
			unknown = append(unknown, o)
			f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	f.Evidence = append(f.Evidence, h.Logged(picture.Containing("nf_conntrack: unknown parameter"))...)
	f.Summary = "nf_conntrack has no parameter " + unknown[0].Name + ": the kernel ignores it"
	f.Fix = removeOptions(h, unknown)
	if slices.ContainsFunc(unknown, func(o kmod.Option) bool { return strings.HasSuffix(o.Name, "max") }) {
		f.Note = "max is no parameter of the module: settings.max in /etc/ctkeeper/ctkeeper.yaml keeps it, or settings.expect_max"
	}
	return []finding.Finding{f}
}

// knownParameters are the names that some kernel of this host knows, and nil where nobody
// can tell. The module's file does not tell of hashsize, nor sysfs of enable_hooks.
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

// checkBuiltIn says that the module is part of the kernel, which reads no modprobe.d.
func checkBuiltIn(h *picture.Host) []finding.Finding {
	if !h.IsBuiltIn() {
		return nil
	}
	f := finding.Finding{
		ID: "module-built-in", Severity: finding.Info, Summary: "nf_conntrack is part of the kernel image: it is always there, and reads no modprobe.d",
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
	f.Summary = "nf_conntrack is part of the kernel image, which reads no modprobe.d: its options there have no effect"
	f.Fix = removeOptions(h, options)
	for _, o := range options {
		f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)))
		if _, given := h.CommandLine.Value(kmod.Conntrack + "." + o.Name); !given && parameterKinds()[o.Name] != "" && refusal(h, o) == "" {
			_, add := h.Distro.AddKernelArgument(h.Tree, kmod.Conntrack+"."+format(o))
			f.Fix = append(f.Fix, add...)
		}
	}
	f.Fix = finding.Unique(f.Fix)
	f.Note = "the kernel command line counts from the next boot on"
	return []finding.Finding{f}
}
