package fixes

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// RemoveAssignment returns the steps that stop an assignment, or a note if no step can. All the
// assignments of its file for which the function is true are removed together, so that the steps are the same
// for each of them.
func RemoveAssignment(
	h *picture.Host, a inventory.Assignment, with func(inventory.Assignment) bool,
) (fix []finding.Step, note string) {
	note = "Remove it from " + a.Place.String() + "."
	switch {
	case a.Tool == picture.KubeProxy:
		return nil, "kube-proxy does not set the limit where its configuration has conntrack.maxPerCore: 0, nor a " +
			"timeout that is 0s. ctkeeper render kube-proxy prints them for this configuration. " +
			"Set these in the ConfigMap kube-proxy of kube-system, and restart its pods."
	case a.Tool == "k3s" || a.Tool == "rke2":
		return nil, a.Tool + " does not set the limit with --kube-proxy-arg=conntrack-max-per-core=0."
	case a.Tool == "pve-firewall" && a.Line == 0:
		return nil, "It is a default of pve-firewall, which sets it while the firewall is on: set the option in " +
			a.File + "."
	case a.Tool == "kernel":
		return h.Boot.Change([]string{a.Key + "=" + a.Value}, nil), "It takes effect with the next boot."
	case a.Tool == "tuned" && !IsLineBased(a.File):
		return nil, "Remove it from a copy of the profile in /etc/tuned, and make the copy the active profile."
	case !IsLineBased(a.File):
		return nil, note
	}
	var places []tree.Place
	options := map[tree.Place][]kmod.Option{}
	is := func(b inventory.Assignment) bool { return b == a || with(b) }
	for _, b := range h.Inventory.Assignments {
		if b.File != a.File || !is(b) || h.Line(b.Place) == "" {
			continue
		}
		if b.Parameter {
			options[b.Place] = append(options[b.Place], kmod.Option{Place: b.Place, Name: b.Name, Value: b.Value})
		} else if assignsMore(h, b.Place, is) {
			continue
		}
		places = append(places, b.Place)
	}
	if len(places) == 0 {
		return nil, note
	}
	return Edit(h, places, func(p tree.Place, line string) string { return removeOptions(line, options[p]) }), ""
}

// RemoveOptions returns the steps that remove parameters of a module from lines of modprobe.d. They keep the other
// parameters of a line. A line without any becomes a comment: modprobe logs an error about it.
func RemoveOptions(h *picture.Host, all []kmod.Option) []finding.Step {
	var places []tree.Place
	options := map[tree.Place][]kmod.Option{}
	for _, o := range all {
		places, options[o.Place] = append(places, o.Place), append(options[o.Place], o)
	}
	return Edit(h, places, func(p tree.Place, line string) string { return removeOptions(line, options[p]) })
}

// removeOptions returns a line of modprobe.d without parameters; "" where none is left, or where it is of another
// kind.
func removeOptions(line string, options []kmod.Option) string {
	for _, o := range options {
		// For modprobe and the kernel "-" in a name is "_".
		word := strings.ReplaceAll(regexp.QuoteMeta(o.Name), "_", "[-_]")
		if !o.Bare {
			word = `"?` + word + `="*` + regexp.QuoteMeta(o.Value) + `"*`
		}
		pattern := regexp.MustCompile(`[[:space:]]+` + word + `([[:space:]]|$)`)
		for pattern.MatchString(line) { // two occurrences share the blank between them
			line = pattern.ReplaceAllString(line, "$1")
		}
	}
	if len(options) == 0 || len(strings.Fields(line)) <= len([]string{"options", "module"}) {
		return ""
	}
	return line
}

// IsLineBased reports whether a single line of a file can be removed. In a script another line can
// depend on it.
func IsLineBased(file string) bool {
	for _, dir := range []string{"/sysctl.d/", "/modprobe.d/", "/udev/rules.d/"} {
		if strings.Contains(file, dir) {
			return true
		}
	}
	name := path.Base(file)
	return name == "sysctl.conf" || name == "modprobe.conf" || strings.HasPrefix(file, "/etc/tuned/")
}

// assignsMore reports whether a line assigns more than what the function is true for.
func assignsMore(h *picture.Host, p tree.Place, is func(inventory.Assignment) bool) bool {
	return slices.ContainsFunc(h.Inventory.Assignments, func(b inventory.Assignment) bool {
		return b.Place == p && !is(b)
	})
}
