package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/support"
	"github.com/ctkeeper/ctkeeper/host/command"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// supportReadme is README.txt of the archive.
const supportReadme = `This archive was made by "ctkeeper support" for a bug report. It was not sent anywhere.
Review it before you send it.

In it: ctkeeper's configuration, the output of its commands, its history, its unit and the last entries of its
journal, the values of nf_conntrack, the kernel's version and modules, the distribution.

It can hold: names of programs, units, users, containers and network interfaces; lines of other files of this host,
as ctkeeper doctor quotes them, which can have addresses; your comments in the configuration.

Left out: the host's name but for that of this archive; connections and their addresses; firewall rules, except lines
that doctor quotes; the kernel's command line, except arguments about modules and control groups; environment
variables; the exporter's web configuration; and, in the line of a word such as password, secret or token, what is
behind "=" or ":". A secret without such a word, or on the next line, stays: look for it.
`

// maxSupportFile limits a file that is copied, in bytes.
const maxSupportFile = 1 << 20

// supportParts returns what the archive holds. Without a running system, below --root, it has no unit and no journal.
func (a *app) supportParts() []support.Part {
	host := a.host
	parts := []support.Part{{Name: "README.txt", Collect: func(context.Context) ([]byte, error) {
		return []byte(supportReadme), nil
	}}}
	commands := map[string][]string{
		"version.txt": {"version"}, "config.txt": {"config", "show"}, "check.txt": {"config", "check"},
		"status.txt": {"status"}, "status.json": {"status", "-o", "json"}, "diff.txt": {"diff"},
		"doctor.txt": {"doctor"}, "events.txt": {"events"}, "persist.txt": {"persist", "--dry-run"},
		"guard.txt": {"guard", "status"}, "import.txt": {"import"},
	}
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		parts = append(parts, support.Part{Name: name, Collect: func(ctx context.Context) ([]byte, error) {
			return a.capture(ctx, commands[name]), nil
		}})
	}
	if a.root == "" {
		for _, p := range []struct {
			name string
			args []string
		}{
			{"unit.txt", []string{"systemctl", "cat", "--no-pager", unitName}},
			{"unit-state.txt", []string{"systemctl", "show", "--no-pager", unitName}},
			{"journal.txt", []string{
				"journalctl", "--no-pager", "--no-hostname", "-u", unitName, "-n", "1000", "-o", "short-iso-precise",
			}},
		} {
			parts = append(parts, support.Part{Name: p.name, Collect: func(ctx context.Context) ([]byte, error) {
				limits := command.Limits{Timeout: support.PartTimeout, Output: support.MaxPart}
				return command.Combined(ctx, limits, p.args[0], p.args[1:]...)
			}})
		}
	}
	parts = append(parts,
		support.Part{Name: "kernel.txt", Collect: func(context.Context) ([]byte, error) {
			return describeKernel(host)
		}},
		support.Part{Name: "values.txt", Collect: func(context.Context) ([]byte, error) { return readValues(host) }},
		support.Part{Name: "modules.txt", Collect: func(context.Context) ([]byte, error) {
			text, err := host.Read("/proc/modules", maxSupportFile)
			return support.Columns(text, 4), err
		}})
	for _, file := range a.supportFiles(host) {
		parts = append(parts, support.Part{Name: "files" + file, Collect: func(context.Context) ([]byte, error) {
			return host.Read(file, maxSupportFile)
		}})
	}
	return parts
}

// capture returns the output and the exit status of a command of ctkeeper, with the global flags of this one.
func (a *app) capture(ctx context.Context, args []string) []byte {
	if a.rootSet() {
		args = append(args, "--root", a.root)
	}
	if a.host != (tree.Tree{}) && a.root == "" {
		args = append(args, "--path.procfs", a.procfs, "--path.sysfs", a.sysfs)
	}
	reads := args[0] != "version" && args[0] != "events" && args[0] != "import"
	if a.configSet() && reads {
		args = append(args, "--config", a.configFile)
	}
	var out bytes.Buffer
	status := execute(ctx, args, &out, &out)
	fmt.Fprintf(&out, "\n(exit status %d of ctkeeper %s)\n", status, strings.Join(args, " "))
	return out.Bytes()
}

// supportFiles returns the files to copy: ctkeeper's configuration and what ctkeeper wrote.
func (a *app) supportFiles(host tree.Tree) []string {
	files := []string{a.configFile}
	for _, dir := range []string{"/etc/ctkeeper/conf.d", "/run/ctkeeper/conf.d", "/usr/lib/ctkeeper/conf.d"} {
		names, _ := host.List(dir) // most of them do not exist
		for _, name := range names {
			files = append(files, path.Join(dir, name))
		}
	}
	files = append(files, persist.Paths()...)
	files = append(files, systemd.GuardDropIn, systemd.PerfmonDropIn, "/etc/os-release", "/proc/meminfo",
		"/proc/net/stat/nf_conntrack", "/proc/1/cgroup", "/proc/self/mountinfo")
	slices.Sort(files)
	return slices.DeleteFunc(slices.Compact(files), func(file string) bool { return !host.Exists(file) })
}

// describeKernel returns the kernel's version, and the arguments of its command line that are about modules and control
// groups: others can be secrets.
func describeKernel(host tree.Tree) ([]byte, error) {
	version, err := host.Read("/proc/version", maxSupportFile)
	line, err2 := host.Read("/proc/cmdline", maxSupportFile)
	for _, argument := range strings.Fields(string(line)) {
		key, _, _ := strings.Cut(argument, "=")
		if strings.Contains(key, "conntrack") || strings.Contains(key, "cgroup") || strings.Contains(key, "module") ||
			slices.Contains([]string{"lockdown", "lsm", "security", "nomodule", "init"}, key) {
			version = append(version, argument+"\n"...)
		}
	}
	return version, errors.Join(err, err2)
}

// readValues returns the settings and parameters that the kernel has, as text.
func readValues(host tree.Tree) ([]byte, error) {
	var b bytes.Buffer
	var errs []error
	for _, dir := range []string{
		"/proc/sys/net/netfilter", "/sys/module/nf_conntrack/parameters", "/sys/module/nf_conntrack/holders",
	} {
		names, err := host.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, "nf_log") { // names of backends, which are links
				continue
			}
			value, _ := host.Read(path.Join(dir, name), maxSupportFile) // a holder is a directory
			fmt.Fprintf(&b, "%s %s\n", path.Join(dir, name), strings.TrimSpace(string(value)))
		}
	}
	return b.Bytes(), errors.Join(errs...)
}
