package guard

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxName bounds the reported name of a unit or container, in bytes: systemd's UNIT_NAME_MAX.
const maxName = 255

// parsePath returns the unit, container and pod of a cgroup's path; PID and Comm are zero.
//
// The unit is the one that the host's systemd uses (see units), also if it is a container's scope. For
// containers inside of containers it returns the innermost container, and the pod around it. The processes of
// a container engine itself, such as conmon, are in no container.
func parsePath(path string) sysfs.Writer {
	var w sysfs.Writer
	if units := units(path); len(units) > 0 {
		w.Unit = unitName(units[len(units)-1])
	}
	components := split(path)
	for i, component := range components {
		if uid := podOf(component); uid != "" {
			w.Pod = uid
		}
		if name := containerOf(components[:i], component); name != "" {
			w.Container = unitName(name)
		}
	}
	return w
}

// units returns the slices of a path from the outermost to the innermost, and then the unit, if there is one:
// the results of systemd's cg_path_get_unit and cg_path_get_slice. What is below a unit is delegated to it
// (CGROUP_DELEGATION): of /user.slice/user-1000.slice/user@1000.service/app.slice/mc.service the unit is
// user@1000.service, and of /system.slice/docker-ID.scope/init.scope it is docker-ID.scope.
func units(path string) []string {
	var units []string
	for _, component := range split(path) {
		// systemd puts a _ before a name that could be one of the kernel's own files (cg_escape).
		unit := strings.TrimPrefix(component, "_")
		dot := max(strings.LastIndexByte(unit, '.'), 0)
		switch name, kind := unit[:dot], unit[dot:]; {
		case name == "":
			return units
		case kind == ".slice":
			units = append(units, unit)
		case slices.Contains([]string{".service", ".scope", ".mount", ".socket", ".swap"}, kind):
			return append(units, unit)
		default:
			return units
		}
	}
	return units
}

// split returns the components of a path.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// containerOf returns the container that a component of a path stands for, or "". above has the components
// before it.
func containerOf(above []string, component string) string {
	if id := engineID(component); id != "" {
		return id
	}
	parent := ""
	if len(above) > 0 {
		parent = above[len(above)-1]
	}
	// lxc.payload.NAME since LXC 4; lxc/NAME before, and on Proxmox. lxc.monitor runs on the host.
	if name, ok := strings.CutPrefix(component, "lxc.payload."); ok {
		return name
	}
	if parent == "lxc" || parent == "lxc.payload" {
		return component
	}
	return machineOf(above, component)
}

// engineID returns the id that a container engine puts into a cgroup's name, or "". The id has 64 hexadecimal
// digits. It is the whole name (/docker/ID, /kubepods/burstable/podUID/ID), or follows the engine's name
// (docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, libpod-payload-ID, and
// SLICE:cri-containerd:ID if containerd uses systemd's notation as a path).
func engineID(component string) string {
	const digits = 64
	name := strings.TrimSuffix(component, ".scope")
	if len(name) < digits {
		return ""
	}
	engine, id := name[:len(name)-digits], name[len(name)-digits:]
	separated := engine == "" || strings.HasSuffix(engine, "-") || strings.HasSuffix(engine, ":")
	if !separated || strings.HasSuffix(engine, "conmon-") || !hexadecimal(id) {
		return ""
	}
	return id
}

// machineOf returns the name that machinectl(1) shows for a machine, or "": one that systemd-nspawn started
// as a service, or that is registered with systemd-machined. Virtual machines are registered as well, but in
// their scope only the emulator runs, on the host.
func machineOf(above []string, component string) string {
	name, ok := cutBoth(component, "systemd-nspawn@", ".service")
	if !ok && slices.Contains(above, "machine.slice") && !strings.HasPrefix(component, `machine-qemu\x2d`) {
		name, _ = cutBoth(component, "machine-", ".scope")
	}
	return unescape(name)
}

// unescape replaces each \xNN in a part of a unit name with its byte (unit_name_escape). It keeps "-",
// which systemd-escape --unescape (go-systemd's UnitNameUnescape) turns into "/": a machine's name has
// no slash, and systemd-nspawn@.service takes "-" as it is (%i).
func unescape(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\x`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n, err := strconv.ParseUint(after[:min(2, len(after))], 16, 8)
		if err != nil || len(after) < 2 {
			b.WriteString(`\x`)
			s = after
			continue
		}
		b.WriteByte(byte(n))
		s = after[2:]
	}
}

// cutBoth returns s without a prefix and a suffix, and whether it has both.
func cutBoth(s, prefix, suffix string) (string, bool) {
	if !strings.HasPrefix(s, prefix) || !strings.HasSuffix(s, suffix) || len(s) < len(prefix)+len(suffix) {
		return "", false
	}
	return s[len(prefix) : len(s)-len(suffix)], true
}

// podOf returns the UID of the Kubernetes pod that a component stands for, or "". kubelet's cgroupfs driver
// names it podUID; its systemd driver names it kubepods[-QOS]-podUID.slice, with _ for each -. The UID of a
// static pod is 32 digits without a dash.
func podOf(component string) string {
	name, _, _ := strings.Cut(component, ".slice")
	at := strings.LastIndex(name, "pod")
	if at < 0 || at > 0 && name[at-1] != '-' {
		return ""
	}
	if uid := strings.ReplaceAll(name[at+len("pod"):], "_", "-"); isPodUID(uid) {
		return uid
	}
	return ""
}

func isPodUID(uid string) bool {
	digits := strings.ReplaceAll(uid, "-", "")
	if len(digits) != 32 || !hexadecimal(digits) {
		return false
	}
	dashed := strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
	return uid == digits || uid == dashed
}

func hexadecimal(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// unitName replaces each byte that is not allowed in unit names (systemd.unit(5)) with a ?, and cuts the name
// to maxName: a cgroup's name can contain any byte except / and a newline.
func unitName(name string) string {
	text := []byte(name[:min(len(name), maxName)])
	for i, b := range text {
		letter := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
		if !letter && strings.IndexByte(`:-_.\@`, b) < 0 {
			text[i] = '?'
		}
	}
	return string(text)
}
