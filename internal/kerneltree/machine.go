package kerneltree

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// machine describes a running host whose /proc, /sys and /lib/modules are like those of any other, a word and its
// values in each line:
//
//	kernel 6.1.0-28-amd64    its modules are installed; nf_conntrack is absent, unless:
//	loaded xt_conntrack      nf_conntrack is loaded, and so are the modules that are named, which use it
//	builtin                  nf_conntrack is in the kernel image
//	live max=262144          live values that are not the kernel's defaults
//	memory 4                 GiB
//	cpus 2
//	systemd                  systemd is the init system, and runs
const machine = "MACHINE"

// moduleDeps lists modules with those that they need, on kernels without nf_conntrack_ipv4. With it nf_conntrack needs
// no nf_defrag module.
var moduleDeps = map[string]string{
	"nf_conntrack":         "nf_defrag_ipv6 nf_defrag_ipv4",
	"nf_defrag_ipv4":       "",
	"nf_defrag_ipv6":       "",
	"nf_nat":               "nf_conntrack",
	"nf_conntrack_netlink": "nf_conntrack",
	"nf_conntrack_ftp":     "nf_conntrack",
	"nf_conntrack_sip":     "nf_conntrack",
	"nf_conntrack_pptp":    "nf_conntrack",
	"x_tables":             "",
	"ip_tables":            "x_tables",
	"iptable_nat":          "ip_tables nf_nat",
	"xt_conntrack":         "x_tables nf_conntrack",
	"xt_state":             "x_tables nf_conntrack",
	"xt_MASQUERADE":        "x_tables nf_nat",
	"xt_CT":                "x_tables nf_conntrack",
	"nf_tables":            "",
	"nft_ct":               "nf_tables nf_conntrack",
	"nft_chain_nat":        "nf_tables nf_nat",
	"ip_vs":                "nf_conntrack",
	"br_netfilter":         "",
	"overlay":              "",
	"openvswitch":          "nf_nat nf_conntrack",
}

type machineTree struct {
	root, release string
	version       [2]int
	memory        int // GiB
}

// buildMachine writes what the lines describe.
func buildMachine(t testing.TB, root, text string) {
	t.Helper()
	m := machineTree{root: root, memory: 4}
	for _, line := range lines(text) {
		word, rest, _ := strings.Cut(line, " ")
		number, _ := strconv.Atoi(rest)
		switch word {
		case "kernel":
			m.release = rest
			if _, err := fmt.Sscanf(rest, "%d.%d", &m.version[0], &m.version[1]); err != nil {
				t.Fatalf("%s: invalid release %q", machine, rest)
			}
			m.install(t)
		case "memory":
			m.memory = number
		case "cpus":
			Put(t, root, "sys/devices/system/cpu/online", fmt.Sprintf("0-%d\n", number-1))
			Put(t, root, "sys/devices/system/cpu/possible", fmt.Sprintf("0-%d\n", number-1))
		case "systemd":
			Put(t, root, "usr/lib/systemd/systemd", "")
			Put(t, root, "run/systemd/system/.keep", "")
		case "loaded", "builtin":
			m.load(t, strings.Fields(rest))
			if word == "builtin" {
				BuiltIn(t, root)
				Put(t, root, m.dir()+"modules.builtin", "kernel/net/netfilter/nf_conntrack.ko\n")
			}
		case "live":
			for _, value := range strings.Fields(rest) {
				name, value, _ := strings.Cut(value, "=")
				Set(t, root, name, value)
			}
		default:
			t.Fatalf("%s: invalid line %q", machine, line)
		}
	}
	if _, err := os.Stat(filepath.Join(root, path(t, "hashsize"))); err == nil && m.isBefore(4, 7) {
		m.protectBuckets(t)
	}
	Put(t, root, "proc/meminfo", fmt.Sprintf("MemTotal:       %d kB\n", m.memory<<20))
}

func (m machineTree) dir() string { return "lib/modules/" + m.release + "/" }

func (m machineTree) isBefore(major, minor int) bool {
	return slices.Compare(m.version[:], []int{major, minor}) < 0
}

// hasIPv4 reports whether nf_conntrack_ipv4 and nf_conntrack_ipv6 are modules of their own, as before 4.19. RHEL 8 has
// 4.18 without them, since 8.3 (kubespray issue 6934).
func (m machineTree) hasIPv4() bool { return m.isBefore(4, 19) && !strings.Contains(m.release, ".el8") }

// needs returns the modules that a module needs, their own needs included.
func (m machineTree) needs(name string) []string {
	direct := strings.Fields(moduleDeps[name])
	if m.hasIPv4() {
		switch name {
		case "nf_conntrack":
			direct = nil
		case "nf_conntrack_ipv4", "nf_conntrack_ipv6":
			direct = []string{"nf_conntrack", "nf_defrag_" + strings.TrimPrefix(name, "nf_conntrack_")}
		}
	}
	all := slices.Clone(direct)
	for _, other := range direct {
		for _, further := range m.needs(other) {
			if !slices.Contains(all, further) {
				all = append(all, further)
			}
		}
	}
	return all
}

func (m machineTree) modules() []string {
	var all []string
	for name := range moduleDeps {
		all = append(all, name)
	}
	if m.hasIPv4() {
		all = append(all, "nf_conntrack_ipv4", "nf_conntrack_ipv6")
	}
	slices.Sort(all)
	return all
}

// install installs the kernel's modules. The aliases are those of nf_conntrack_proto.c, or of
// nf_conntrack_l3proto_ipv4.c and nf_conntrack_l3proto_ipv6.c.
func (m machineTree) install(t testing.TB) {
	t.Helper()
	file := func(name string) string { return "kernel/net/netfilter/" + name + ".ko" }
	var dep strings.Builder
	for _, name := range m.modules() {
		needs := m.needs(name)
		info := []string{"vermagic=" + m.release + " SMP mod_unload ", "name=" + name,
			"depends=" + strings.Join(needs, ",")}
		if name == "nf_conntrack" {
			info = append(info, "parmtype=acct:bool", "parmtype=tstamp:bool", "parmtype=expect_hashsize:uint",
				"__param_str_hashsize")
		}
		Put(t, m.root, m.dir()+file(name), string(KO(info...)))
		dep.WriteString(file(name) + ":")
		for _, other := range needs {
			dep.WriteString(" " + file(other))
		}
		dep.WriteString("\n")
	}
	v4, v6 := "nf_conntrack", "nf_conntrack"
	if m.hasIPv4() {
		v4, v6 = v4+"_ipv4", v6+"_ipv6"
	}
	Put(t, m.root, m.dir()+"modules.dep", dep.String())
	Put(t, m.root, m.dir()+"modules.alias", "alias ip_conntrack "+v4+"\nalias nf_conntrack-2 "+v4+
		"\nalias nf_conntrack-10 "+v6+"\nalias ip_conntrack_ftp nf_conntrack_ftp\n")
	Put(t, m.root, m.dir()+"modules.builtin", "kernel/fs/ext4/ext4.ko\n")
	Put(t, m.root, m.dir()+"modules.softdep", "")
	Put(t, m.root, "proc/sys/kernel/osrelease", m.release+"\n")
	Put(t, m.root, "proc/sys/kernel/modules_disabled", "0\n")
	Put(t, m.root, "proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz-"+m.release+" root=/dev/vda1 ro\n")
	Put(t, m.root, "proc/modules", "")
	if err := os.MkdirAll(filepath.Join(m.root, "sys/module"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// load loads nf_conntrack and the modules that use it, with the defaults of nf_conntrack_init_start: 65536 buckets
// over 4 GiB of memory (262144 since 5.15), 16384 over 1 GiB (65536), and 4 connections a bucket (1).
func (m machineTree) load(t testing.TB, users []string) {
	t.Helper()
	Load(t, m.root)
	m.removeSettings(t, slices.Contains(users, "nf_conntrack_ipv4"))
	buckets, factor := 16384, 4
	if m.memory > 4 {
		buckets = 65536
	}
	if !m.isBefore(5, 15) {
		buckets, factor = 4*buckets, 1
	}
	Set(t, m.root, "hashsize", strconv.Itoa(buckets))
	Set(t, m.root, "max", strconv.Itoa(buckets*factor))
	Set(t, m.root, "expect_max", strconv.Itoa(buckets/64))
	loaded := []string{"nf_conntrack"}
	for _, name := range append([]string{"nf_conntrack"}, users...) {
		for _, other := range append(m.needs(name), name) {
			if !slices.Contains(loaded, other) {
				loaded = append(loaded, other)
			}
		}
	}
	var list strings.Builder
	for _, name := range loaded {
		var holders []string
		for _, user := range loaded {
			if slices.Contains(m.needs(user), name) {
				holders = append(holders, user)
				Put(t, m.root, "sys/module/"+name+"/holders/"+user, "")
			}
		}
		Put(t, m.root, "sys/module/"+name+"/initstate", "live\n")
		by := "-"
		if len(holders) > 0 {
			by = strings.Join(holders, ",") + ","
		}
		fmt.Fprintf(&list, "%s 16384 %d %s Live 0x0000000000000000\n", name, len(holders), by)
	}
	Put(t, m.root, "proc/modules", list.String())
}

// removeSettings removes the settings that this kernel does not have. Where there is a module nf_conntrack_ipv4, that
// brings the timeouts and the protocols' settings.
func (m machineTree) removeSettings(t testing.TB, hasIPv4Loaded bool) {
	t.Helper()
	before := func(version string) bool {
		var major, minor int
		_, _ = fmt.Sscanf(version, "%d.%d", &major, &minor)
		return m.isBefore(major, minor)
	}
	for _, s := range sysfs.Catalogue() {
		isProtocol := strings.Contains(s.Name, "timeout") && s.Name != "generic_timeout" ||
			strings.HasPrefix(s.Name, "tcp_") || strings.HasPrefix(s.Name, "dccp_")
		switch {
		case s.Since != "" && before(s.Since), s.Until != "" && s.Until != m.majorMinor() && !before(s.Until),
			isProtocol && m.hasIPv4() && !hasIPv4Loaded:
			Remove(t, m.root, s.Name)
		}
	}
}

// protectBuckets makes nf_conntrack_buckets read-only, as it is before 4.7. It is a file of its own then: the
// parameter hashsize can be written.
func (m machineTree) protectBuckets(t testing.TB) {
	t.Helper()
	value, name := Get(t, m.root, "hashsize"), path(t, "hashsize")
	Remove(t, m.root, "hashsize")
	Put(t, m.root, name, value+"\n")
	chmod(t, m.root, "0444 "+name)
}

func (m machineTree) majorMinor() string { return fmt.Sprintf("%d.%d", m.version[0], m.version[1]) }
