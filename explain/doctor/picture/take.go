package picture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/firewall"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// Options are the parameters of Take.
type Options struct {
	// Source is where the configuration is. Its Tree is the host.
	Source config.Source
	// Running reports whether the daemon answers; nil where it is not known.
	Running func(context.Context) bool
	// Settings returns what the daemon reports of the settings; nil without a daemon.
	Settings func(context.Context) []reconcile.SettingStatus
}

// Take reads a host. What cannot be read is in NotRead, or in the troubles of its reader.
func Take(ctx context.Context, t tree.Tree, opts Options) *Host {
	h := &Host{Root: t.Root(), Distro: distro.Read(t), Installed: kmod.InstalledReleases(t)}
	h.MemTotal, _ = meminfo.Total(t) // 0 where it is not known
	h.Boot = h.Distro.ReadBootConfig(t)
	h.Offline = !slices.ContainsFunc([]string{"/proc/sys", CommandLineFile, ModulesFile, "/sys/module"}, t.Exists)
	if h.Offline {
		h.addNotRead("/proc", errors.New(
			"empty: no kernel runs here, so the state of the module, the command line and the live values are not "+
				"known"))
	} else {
		h.Module = kmod.Observe(t, kmod.Conntrack)
		h.readRunning(t)
	}
	h.Inventory = inventory.Read(t)
	for _, trouble := range h.Inventory.NotSearched {
		h.addNotRead(trouble.File, trouble.Err)
	}
	h.readRules(ctx, t)
	h.Log = klog.Read(ctx, t, isRelevant)
	if h.Log.Err != nil {
		h.addNotRead("kernel log", h.Log.Err)
	}
	for _, trouble := range h.Log.Troubles {
		h.addNotRead(trouble.File, trouble.Err)
	}
	h.readKernels(t)
	h.LoadPolicy = readLoadPolicy(t, h.CommandLine)
	if !h.Offline {
		h.BPF = readBPF(t, h.Release)
	}
	h.readConfig(t, opts.Source)
	h.Env = readEnvironment(ctx, t, opts)
	h.readWanted(ctx, t, opts)
	h.Processes, h.record = process.List(t), readRecord(ctx, t)
	h.ReadFiles(t)
	return h
}

// readConfig loads the configuration, and compares the boot files with it.
func (h *Host) readConfig(t tree.Tree, source config.Source) {
	h.Config, h.ConfigErr = source.Load()
	if h.Offline && needsMemoryOnly(h.ConfigErr) {
		h.addNotRead("configuration", errors.New("has sizes that are auto, and the memory of the host is not known "+
			"here"))
		h.ConfigErr = nil
	}
	if h.Config != nil {
		h.BootPlan, h.BootPlanErr = persist.NewPlan(t, h.Config, persist.Options{})
	}
}

// readWanted reads the values of the wanted settings. NotKept are the settings that the daemon reports as not kept, or
// where none answers those that cannot be read.
func (h *Host) readWanted(ctx context.Context, t tree.Tree, opts Options) {
	if h.Offline {
		return
	}
	var unreadable []reconcile.SettingStatus
	if h.Config != nil {
		files := sysfs.NewReader(t)
		defer func() { _ = files.Close() }() // opened for reading only
		for _, w := range h.Config.Wants {
			switch value, err := files.Read(w.Setting); {
			case err == nil:
				h.Settings[w.Setting.Name] = value.String()
			case !sysfs.Gone(err) && h.IsConfigured():
				unreadable = append(unreadable, reconcile.SettingStatus{Comparison: reconcile.Comparison{
					Name: w.Setting.Name, Policy: w.Policy, Want: w.Value, Origin: w.Origin,
					State: reconcile.Failed, Error: err.Error(),
				}})
			}
		}
	}
	h.NotKept = unreadable
	if opts.Settings == nil {
		return
	}
	if settings := opts.Settings(ctx); len(settings) > 0 { // none where no daemon answers
		h.NotKept = slices.DeleteFunc(settings, func(s reconcile.SettingStatus) bool {
			return s.State != reconcile.Contested && s.State != reconcile.Forbidden && s.State != reconcile.Failed
		})
	}
}

// needsMemoryOnly reports whether the only errors of a configuration are sizes that depend on a memory
// that is not known.
func needsMemoryOnly(err error) bool {
	errs := config.Errors{}
	return errors.As(err, &errs) && !slices.ContainsFunc(errs, func(e config.Error) bool {
		return !errors.Is(e.Err, fs.ErrNotExist) || !strings.HasPrefix(e.Key, "settings.")
	})
}

// readRunning reads the running kernel. There are no figures where the module is absent, and only root
// may read some of them, so a missing file is no error.
func (h *Host) readRunning(t tree.Tree) {
	var err error
	h.Figures, h.Settings, h.HelperModules = table.Read(t), sysfs.ReadAll(t), readHelpers(t)
	names, _ := t.List("/sys/module/nf_conntrack/parameters")
	h.Parameters = map[string]string{}
	for _, name := range names {
		h.Parameters[name], _ = kmod.ParameterValue(t, kmod.Conntrack, name)
	}
	h.Counters, _ = table.Counters(t)
	h.HelperCounts, _ = table.ExpectationsByHelper(t)
	if h.Release, err = kmod.Release(t); err != nil {
		h.addNotRead("/proc/sys/kernel/osrelease", err)
	}
	if h.CommandLine, err = kmod.ReadCommandLine(t); err != nil {
		h.addNotRead(CommandLineFile, err)
	}
	if h.Modules, err = kmod.ReadModules(t); err != nil {
		h.addNotRead(ModulesFile, err)
	}
}

// readRules reads the firewall's rules, and which firewall services can be here.
func (h *Host) readRules(ctx context.Context, t tree.Tree) {
	const maxSavedRules = 8 << 20 // bytes
	h.Rules = firewall.Read(ctx, t)
	for _, source := range slices.Sorted(maps.Keys(h.Rules.Skipped)) {
		h.NotRead = append(h.NotRead, finding.Seen(source, 0, h.Rules.Skipped[source]))
	}
	h.SavedModules = map[string]map[string]tree.Place{}
	h.Services = map[string]bool{"firewalld": true}
	for _, tool := range []string{"iptables", "ip6tables"} {
		file := "/etc/sysconfig/" + tool
		if text, err := t.Read(file, maxSavedRules); err == nil {
			h.SavedModules[tool] = firewall.ParseIptablesSave(file, text).Modules
		}
		h.Services[tool] = hasIptablesService(t, tool)
	}
}

// hasIptablesService reports whether the service of iptables or ip6tables can be on a host. Red Hat's
// package iptables brings the service's configuration also where firewalld is the firewall and the
// script is missing.
func hasIptablesService(t tree.Tree, tool string) bool {
	return !t.Exists("/etc/firewalld/firewalld.conf") || slices.ContainsFunc([]string{
		"/etc/init.d/" + tool, "/etc/rc.d/init.d/" + tool,
		"/usr/libexec/iptables/" + tool + ".init", "/usr/lib/systemd/system/" + tool + ".service",
	}, t.Exists)
}

// readKernels reads the modules of the running release, or of every installed one where none runs.
func (h *Host) readKernels(t tree.Tree) {
	releases := []string{h.Release}
	if h.Release == "" {
		releases = h.Installed
	}
	needed := slices.Collect(maps.Keys(h.Rules.Modules))
	h.IndexErr = fmt.Errorf("cannot find a kernel's modules in /lib/modules: %w", fs.ErrNotExist)
	for _, release := range releases {
		k := readKernel(t, release, needed)
		h.Kernels = append(h.Kernels, k)
		h.Index, h.IndexErr = k.Index, k.Err
	}
	if len(releases) == 0 {
		h.addNotRead("/lib/modules", h.IndexErr)
	}
}

// addNotRead records what could not be read. The error is shown without the path.
func (h *Host) addNotRead(what string, err error) {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) && wrapped.Path == what {
		err = wrapped.Err
	}
	h.NotRead = append(h.NotRead, finding.Seen(what, 0, err.Error()))
}

// isRelevant reports whether a message of the kernel's log is about connection tracking, or about
// modules that do not load.
func isRelevant(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{
		"conntrack", "nf_ct_", "nf_nat", "nf_defrag", "xt_ct", "nft_ct", "expectation",
		"modprobe", "module verification", "unsigned module", "loading of module with", "key was rejected", "lockdown",
		"version magic", "unknown symbol", "disagrees about version", "invalid for parameter", "unknown parameter",
		"vmalloc error", "module_blacklist",
	}, func(sign string) bool { return strings.Contains(text, sign) })
}
