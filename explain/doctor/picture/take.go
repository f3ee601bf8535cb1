package picture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// Take takes the picture.
func Take(ctx context.Context, t tree.Tree, opts Options) *Host {
	h := &Host{Tree: t, Distro: distro.Read(t), Installed: kmod.InstalledReleases(t), MemTotal: readMemTotal(t)}
	h.Offline = !slices.ContainsFunc([]string{"/proc/sys", CommandLineFile, "/proc/modules", "/sys/module"}, t.Exists)
	if h.Offline {
		h.addNotRead("/proc", errors.New("empty: nothing runs here, so that the state of the module, the command line and the values in force are not known"))
	} else {
		h.Module = kmod.Observe(t.Root(), kmod.Conntrack)
		h.readRunning()
	}
	h.Inventory = inventory.Read(t)
	h.Rules = firewall.Read(ctx, t)
	for _, source := range slices.Sorted(maps.Keys(h.Rules.Skipped)) {
		h.NotLooked = append(h.NotLooked, finding.Seen(source, 0, h.Rules.Skipped[source]))
	}
	h.Log = klog.Read(ctx, t, isRelevant)
	if h.Log.Err != nil {
		h.addNotRead("kernel log", h.Log.Err)
	}
	for _, trouble := range h.Log.Troubles {
		h.addNotRead(trouble.File, trouble.Err)
	}
	h.readKernels()
	h.LoadPolicy = readLoadPolicy(t, h.CommandLine)
	if !h.Offline {
		h.BPF = readBPF(t, h.Release)
	}
	h.Config, h.ConfigErr = opts.Source.Load()
	if h.Offline && hasOnlyUnsized(h.ConfigErr) {
		h.addNotRead("configuration", errors.New("has sizes that are auto: they come from the memory of the host, which is not known here"))
		h.ConfigErr = nil
	}
	h.Env = readEnvironment(ctx, t, opts)
	return h
}

// hasOnlyUnsized reports whether nothing is wrong with a configuration but that there is
// no memory to size its settings for.
func hasOnlyUnsized(err error) bool {
	errs := config.Errors{}
	return errors.As(err, &errs) && !slices.ContainsFunc(errs, func(e config.Error) bool {
		return !errors.Is(e.Err, fs.ErrNotExist) || !strings.HasPrefix(e.Key, "settings.")
	})
}

// readRunning reads what a running kernel says about itself. Where the module is
// absent there are no figures, and only root may read some: no file is no trouble.
func (h *Host) readRunning() {
	var err error
	root := h.Tree.Root()
	h.Figures, h.Settings, h.HelperModules = table.Read(root), readSettings(h.Tree), readHelpers(h.Tree)
	names, _ := h.Tree.List("/sys/module/nf_conntrack/parameters")
	h.Parameters = map[string]bool{}
	for _, name := range names {
		h.Parameters[name] = true
	}
	h.Counters, _ = table.Counters(root)
	h.ExpectationsBy, _ = table.ExpectationsByHelper(root)
	if h.Release, err = kmod.Release(h.Tree); err != nil {
		h.addNotRead("/proc/sys/kernel/osrelease", err)
	}
	if h.CommandLine, err = kmod.ReadCommandLine(h.Tree); err != nil {
		h.addNotRead(CommandLineFile, err)
	}
	if h.Modules, err = kmod.ReadModules(h.Tree); err != nil {
		h.addNotRead("/proc/modules", err)
	}
}

// readKernels reads the modules of the running release, or of every installed
// one where no kernel runs.
func (h *Host) readKernels() {
	releases := []string{h.Release}
	if h.Release == "" {
		releases = h.Installed
	}
	needed := slices.Sorted(maps.Keys(h.Rules.Modules))
	h.IndexErr = fmt.Errorf("cannot find a kernel's modules in /lib/modules: %w", fs.ErrNotExist)
	for _, release := range releases {
		k := readKernel(h.Tree, release, needed)
		h.Kernels = append(h.Kernels, k)
		h.Index, h.IndexErr = k.Index, k.Err
	}
	if len(releases) == 0 {
		h.addNotRead("/lib/modules", h.IndexErr)
	}
}

// addNotRead notes what could not be looked at. A path in the error is not said twice.
func (h *Host) addNotRead(what string, err error) {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) && wrapped.Path == what {
		err = wrapped.Err
	}
	h.NotLooked = append(h.NotLooked, finding.Seen(what, 0, err.Error()))
}

// readMemTotal is the RAM of /proc/meminfo in bytes; 0 where it does not tell.
func readMemTotal(t tree.Tree) int64 {
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

// isRelevant reports whether a message of the kernel's log says something about
// connection tracking or about modules that do not load.
func isRelevant(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{
		"conntrack", "nf_ct_", "nf_nat", "nf_defrag", "xt_ct", "nft_ct", "expectation",
		"modprobe", "module verification", "unsigned module", "loading of module with", "key was rejected", "lockdown", "version magic",
		"unknown symbol", "disagrees about version", "invalid for parameter", "unknown parameter", "vmalloc error", "module_blacklist",
	}, func(sign string) bool { return strings.Contains(text, sign) })
}

// Options say what to look at.
type Options struct {
	Root string
	// Source is where the configuration is.
	Source config.Source
	// Running tells whether the daemon answers; nil where nobody can tell.
	Running func(context.Context) bool
}

// readSettings reads the live value of every setting that this kernel has and this
// process may read, by its name in the catalogue.
func readSettings(t tree.Tree) map[string]string {
	files := sysfs.NewReader(t.Root())
	defer func() { _ = files.Close() }() // opened for reading alone
	values := map[string]string{}
	for _, setting := range sysfs.Catalogue() {
		if value, err := files.Read(setting); err == nil {
			values[setting.Name] = value.String()
		}
	}
	return values
}
