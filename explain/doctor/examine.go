package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/table"
)

// Examine looks at a host once, and asks every check. What cannot be looked at
// stops nothing: it is in Report.NotLooked, or a finding. The error is ErrNothing
// where there is nothing to look at, or the context's.
func Examine(ctx context.Context, opts Options) (Report, error) {
	t := tree.At(opts.Root)
	if err := something(t); err != nil {
		return Report{}, err
	}
	h := look(ctx, t, opts)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("cannot examine the host: %w", err)
	}
	return h.report(), nil
}

// report asks every check.
func (h *Host) report() Report {
	r := Report{
		Root: cmp.Or(h.Tree.Root(), "/"), Distribution: h.Distro.Name, Kernel: h.Release,
		Healthy: true, Findings: []Finding{}, NotLooked: append([]Evidence{}, h.NotLooked...),
	}
	for _, ask := range checks() {
		for _, f := range ask(h) {
			f.Evidence = append([]Evidence{}, f.Evidence...) // never null for programs
			f.Fix = append([]string{}, f.Fix...)
			r.Findings = append(r.Findings, f)
			r.Healthy = r.Healthy && f.Severity == Info
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return rank(a.Severity) - rank(b.Severity) })
	return r
}

// something is nil where the tree has at least one directory that a host has.
func something(t tree.Tree) error {
	places := []string{"/etc", "/lib/modules", "/usr/lib/modules", "/proc", "/sys"}
	if slices.ContainsFunc(places, t.Exists) {
		return nil
	}
	return fmt.Errorf("cannot examine %s: %w: no %s", cmp.Or(t.Root(), "/"), ErrNothing, strings.Join(places, ", no "))
}

// look takes the picture.
func look(ctx context.Context, t tree.Tree, opts Options) *Host {
	h := &Host{Tree: t, Distro: distro.Read(t), Installed: kmod.Installed(t), MemTotal: memTotal(t)}
	h.Offline = !slices.ContainsFunc([]string{"/proc/sys", cmdline, "/proc/modules", "/sys/module"}, t.Exists)
	if h.Offline {
		h.blind("/proc", errors.New("empty: nothing runs here, so that the state of the module, the command line and the values in force are not known"))
	} else {
		h.Module = kmod.Look(t.Root(), kmod.Conntrack)
		h.lookAtRunning()
	}
	h.Inventory = inventory.Read(t)
	h.Rules = firewall.Read(ctx, t)
	for _, source := range sorted(h.Rules.Skipped) {
		h.NotLooked = append(h.NotLooked, seen(source, 0, h.Rules.Skipped[source]))
	}
	h.Log = klog.Read(ctx, t, relevant)
	if h.Log.Err != nil {
		h.blind("kernel log", h.Log.Err)
	}
	for _, trouble := range h.Log.Troubles {
		h.blind(trouble.File, trouble.Err)
	}
	h.lookAtKernels()
	h.Guards = lookAtGuards(t, h.CommandLine)
	if !h.Offline {
		h.BPF = lookAtBPF(t, h.Release)
	}
	h.Config, h.ConfigErr = opts.Source.Load()
	if h.Offline && onlyUnsized(h.ConfigErr) {
		h.blind("configuration", errors.New("has sizes that are auto: they come from the memory of the host, which is not known here"))
		h.ConfigErr = nil
	}
	h.Place = lookAtPlace(ctx, t, opts)
	return h
}

// onlyUnsized reports whether nothing is wrong with a configuration but that there is
// no memory to size its settings for.
func onlyUnsized(err error) bool {
	errs := config.Errors{}
	return errors.As(err, &errs) && !slices.ContainsFunc(errs, func(e config.Error) bool {
		return !errors.Is(e.Err, fs.ErrNotExist) || !strings.HasPrefix(e.Key, "settings.")
	})
}

// lookAtRunning reads what a running kernel says about itself. Where the module is
// absent there are no figures, and only root may read some: no file is no trouble.
func (h *Host) lookAtRunning() {
	var err error
	root := h.Tree.Root()
	h.Figures, h.Settings, h.HelperModules = table.Read(root), lookAtSettings(h.Tree), lookAtHelpers(h.Tree)
	names, _ := h.Tree.List("/sys/module/nf_conntrack/parameters")
	h.Parameters = map[string]bool{}
	for _, name := range names {
		h.Parameters[name] = true
	}
	h.Counters, _ = table.Counters(root)
	h.ExpectationsBy, _ = table.ExpectationsByHelper(root)
	if h.Release, err = kmod.Release(h.Tree); err != nil {
		h.blind("/proc/sys/kernel/osrelease", err)
	}
	if h.CommandLine, err = kmod.ReadCommandLine(h.Tree); err != nil {
		h.blind(cmdline, err)
	}
	if h.Modules, err = kmod.ReadModules(h.Tree); err != nil {
		h.blind("/proc/modules", err)
	}
}

// lookAtKernels reads the modules of the running release, or of every installed
// one where no kernel runs.
func (h *Host) lookAtKernels() {
	releases := []string{h.Release}
	if h.Release == "" {
		releases = h.Installed
	}
	needed := sorted(h.Rules.Modules)
	h.IndexErr = fmt.Errorf("cannot find a kernel's modules in /lib/modules: %w", fs.ErrNotExist)
	for _, release := range releases {
		k := lookAtKernel(h.Tree, release, needed)
		h.Kernels = append(h.Kernels, k)
		h.Index, h.IndexErr = k.Index, k.Err
	}
	if len(releases) == 0 {
		h.blind("/lib/modules", h.IndexErr)
	}
}

// blind notes what could not be looked at. A path in the error is not said twice.
func (h *Host) blind(what string, err error) {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) && wrapped.Path == what {
		err = wrapped.Err
	}
	h.NotLooked = append(h.NotLooked, seen(what, 0, err.Error()))
}

// memTotal is the RAM of /proc/meminfo in bytes; 0 where it does not tell.
func memTotal(t tree.Tree) int64 {
	data, err := t.Read("/proc/meminfo", 1<<16)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "MemTotal:" {
			n, err := strconv.ParseInt(words[1], 10, 52)
			if err != nil || n < 0 {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

// relevant reports whether a message of the kernel's log says something about
// connection tracking or about modules that do not load.
func relevant(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{
		"conntrack", "nf_ct_", "nf_nat", "nf_defrag", "xt_ct", "nft_ct", "expectation",
		"modprobe", "module verification", "unsigned module", "loading of module with", "key was rejected", "lockdown", "version magic",
		"unknown symbol", "disagrees about version", "invalid for parameter", "unknown parameter", "vmalloc error", "module_blacklist",
	}, func(sign string) bool { return strings.Contains(text, sign) })
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
