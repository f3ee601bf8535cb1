package guard

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxName bounds what is told of a unit or a container, in bytes: systemd's UNIT_NAME_MAX.
const maxName = 255

// place tells the unit, the container and the pod from a cgroup's path; PID and Comm are zero.
//
// The unit is the one that the host's systemd knows (see units), also where it is a
// container's scope. Of containers in containers it is the innermost, and the pod the one
// around it. A container engine's own processes, as conmon, are in none.
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

// units are the slices that a cgroup is in, and then the unit, if there is one: what systemd's
// cg_path_get_unit and cg_path_get_slice find. What is below a unit is its own business
// (CGROUP_DELEGATION): of /user.slice/user-1000.slice/user@1000.service/app.slice/mc.service
// the unit is user@1000.service, and of /system.slice/docker-ID.scope/init.scope the first.
func units(path string) []string {
	var units []string
	for _, component := range split(path) {
		// Names that could be taken for the kernel's own files have a _ before them (cg_escape).
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

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// containerOf is the container that a component of a path stands for, above being the
// components before it; "" is none.
func containerOf(above []string, component string) string {
	if id := engineID(component); id != "" {
		return id
	}
	parent := ""
	if len(above) > 0 {
		parent = above[len(above)-1]
	}
	// lxc.payload.NAME since LXC 4; lxc/NAME before, and Proxmox. lxc.monitor is the host's.
	if name, ok := strings.CutPrefix(component, "lxc.payload."); ok {
		return name
	}
	if parent == "lxc" || parent == "lxc.payload" {
		return component
	}
	return machineOf(above, component)
}

// engineID is the id that container engines give a cgroup: 64 hexadecimal digits, alone
// (/docker/ID, /kubepods/burstable/podUID/ID) or behind the engine's name (docker-ID.scope,
// cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, libpod-payload-ID, and
// SLICE:cri-containerd:ID where containerd takes systemd's notation for a path).
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

// machineOf is the machine as machinectl(1) names it, which systemd-nspawn started as a service
// or registered with systemd-machined. Virtual machines are registered as well; what runs in
// their scope is the emulator, on the host.
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

func cutBoth(s, prefix, suffix string) (string, bool) {
	if !strings.HasPrefix(s, prefix) || !strings.HasSuffix(s, suffix) || len(s) < len(prefix)+len(suffix) {
		return "", false
	}
	return s[len(prefix) : len(s)-len(suffix)], true
}

// podOf is the UID of the Kubernetes pod that a component stands for; "" is none. kubelet's
// cgroupfs driver names it podUID and its systemd driver kubepods[-QOS]-podUID.slice, with _
// for each -. Of a static pod the UID is 32 digits without any.
func podOf(component string) string {
	name, _, _ := strings.Cut(component, ".slice")
	at := strings.LastIndex(name, "pod")
	if at < 0 || at > 0 && name[at-1] != '-' {
		return ""
	}
	uid := strings.ReplaceAll(name[at+len("pod"):], "_", "-")
	digits := strings.ReplaceAll(uid, "-", "")
	if len(digits) != 32 || !hexadecimal(digits) {
		return ""
	}
	dashed := strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
	if uid != digits && uid != dashed {
		return ""
	}
	return uid
}

func hexadecimal(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// unitName has a ? for whatever is not allowed in the names of units (systemd.unit(5)): a
// cgroup's name can be any bytes but / and a line's end.
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
