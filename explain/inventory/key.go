package inventory

import (
	"fmt"
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	netfilterDir = "/proc/sys/net/netfilter"
	// allKeys is the least number of keys that a kernel with nf_conntrack shows: Linux 3.10 has 25. Fewer
	// files are a part that somebody copied.
	allKeys = 18
)

// keyFault is why this kernel has no sysctl key of a name.
type keyFault struct {
	why string
	// meant is the setting that the name means; nil if that is not known.
	meant *sysfs.Setting
}

// findKeyFault returns why this kernel has no key at a path below /proc/sys, if that is certain and the path
// is one of connection tracking. What the kernel shows is the proof. Where the module is not loaded, it is
// certain for names that no kernel has, and by the kernel's version.
func (r *reader) findKeyFault(name string) (keyFault, bool) {
	if isGlob(name) || isComputed(name) || r.tree.Exists("/proc/sys/"+name) || name == "net/nf_conntrack_max" {
		return keyFault{}, false
	}
	meant := meantSetting(name)
	isOwn := meant != nil && "proc/sys/"+name == meant.File()
	_, isOld := oldName(name)
	isRaw := strings.HasPrefix(name, "net/netfilter/nf_conntrack_")
	switch {
	case isOwn && r.showsAllKeys() && !r.comesLater(name):
		return keyFault{why: "this kernel has no such key" + untilText(meant)}, true
	case isOwn:
		return keyFault{why: "this kernel has no such key" + untilText(meant)}, r.isAfter(meant.Until)
	case isOld && meant != nil:
		return keyFault{"kernels since 4.9 have no key of this name", meant}, !r.hasOldKeys()
	case meant != nil:
		return keyFault{"no kernel has a key of this name", meant}, true
	case isRaw && !sysfs.ReadOnly(name) && r.showsAllKeys() && !r.comesLater(name):
		why := "this kernel has no such key"
		if path.Base(name) == "nf_conntrack_tcp_no_window_check" {
			why += ": it is of a patch of OpenWrt's kernels"
		}
		return keyFault{why: why}, true
	}
	return keyFault{}, false
}

// meantSetting returns the setting that a path below /proc/sys means, be it in the wrong directory, under an
// old name or misspelt. It returns nil unless exactly one setting fits.
func meantSetting(name string) *sysfs.Setting {
	dir, base := path.Split(name)
	if rest, found := strings.CutPrefix(name, "net/netfilter/"); found { // nf_conntrack.max
		dir, base = "net/netfilter/", strings.ReplaceAll(rest, "/", "_")
	}
	if rest, isOld := strings.CutPrefix(base, "ip_conntrack_"); isOld {
		base = "nf_conntrack_" + rest
	}
	if rest, found := strings.CutPrefix(base, "nf_conntrack_"); found {
		if s := sysfs.Lookup(rest); s != nil {
			return s
		}
	}
	if dir != "net/" && dir != "net/netfilter/" {
		return nil
	}
	var nearest *sysfs.Setting
	least := 3
	for _, s := range sysfs.Catalogue() {
		switch d := misspelling(base, path.Base(s.File())); {
		case d < least:
			nearest, least = s, d
		case d == least:
			nearest = nil
		}
	}
	return nearest
}

// misspelling returns in how many letters two names differ, or 3 for names that are too different: with more
// than one letter in one word, as tcp and udp.
func misspelling(a, b string) int {
	const tooMany = 3
	if strings.ReplaceAll(a, "_", "") == strings.ReplaceAll(b, "_", "") {
		return 1
	}
	x, y := strings.Split(a, "_"), strings.Split(b, "_")
	if len(x) != len(y) {
		return tooMany
	}
	sum := 0
	for i := range x {
		if x[i] == y[i] {
			continue
		}
		if !isOneLetterApart(x[i], y[i]) {
			return tooMany
		}
		sum++
	}
	return min(sum, tooMany)
}

// isOneLetterApart reports whether one letter that is added, left out, another one or exchanged with the next
// makes one word the other.
func isOneLetterApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 1:
		return a[i:] == b[i+1:]
	case 0:
		isSwapped := i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		return isSwapped || i < len(a) && a[i+1:] == b[i+1:]
	}
	return false
}

// showsAllKeys reports whether the tree has the keys of a kernel that has the module loaded.
func (r *reader) showsAllKeys() bool {
	names, _ := r.tree.List(netfilterDir)
	count := 0
	for _, name := range names {
		if strings.HasPrefix(name, "nf_conntrack_") {
			count++
		}
	}
	return count >= allKeys
}

// comesLater reports whether another module than nf_conntrack brings a key: nf_defrag_ipv6 those of its
// fragments and, before Linux 4.19, nf_conntrack_ipv4, nf_conntrack_ipv6 and the modules of the protocols
// those of the protocols (nf_ct_l4proto_pernet_register).
func (r *reader) comesLater(name string) bool {
	if strings.HasPrefix(path.Base(name), "nf_conntrack_frag6_") {
		return true
	}
	before, known := kmod.IsBefore(r.release(), 4, 19)
	return isProtocolKey(name) && (before || !known)
}

// isProtocolKey reports whether a key below /proc/sys is one of a protocol.
func isProtocolKey(name string) bool {
	rest, found := strings.CutPrefix(path.Base(name), "nf_conntrack_")
	protocol, _, isProtocol := strings.Cut(rest, "_")
	switch protocol {
	case "tcp", "udp", "udplite", "icmp", "icmpv6", "sctp", "dccp", "gre":
		return found && isProtocol
	}
	return false
}

// isAfter reports whether this kernel is certainly newer than the last version with a key ("5.19").
func (r *reader) isAfter(version string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
		return false
	}
	before, known := kmod.IsBefore(r.release(), major, minor+1)
	return known && !before
}

// untilText returns the last kernel that has a setting, as part of a sentence.
func untilText(s *sysfs.Setting) string {
	if s.Until == "" {
		return ""
	}
	return ": the last one that has it is Linux " + s.Until
}

// release returns the release of the running kernel, or of the newest one if none runs.
func (r *reader) release() string {
	releases := kmod.Releases(r.tree)
	if len(releases) == 0 {
		return ""
	}
	return releases[len(releases)-1]
}

// hasKey reports whether this kernel can have a key. If it has not, the line that sets it is added to the
// dead ones.
func (r *reader) hasKey(at tree.Place, key, name, value string) bool {
	fault, found := r.findKeyFault(name)
	if !found {
		return true
	}
	d := DeadLine{Place: at, Why: fault.why, Key: key, Value: value}
	if fault.meant != nil {
		d.Name, d.Right = fault.meant.Name, fault.meant.Sysctl()
	}
	r.addDead(d)
	return false
}

// readOnlyKey returns why a key of this kernel cannot be written, or "". Before Linux 4.7 the buckets could
// only be read (net/netfilter/nf_conntrack_standalone.c); root too is refused then (test_perm).
func (r *reader) readOnlyKey(name string) string {
	const buckets = "net/netfilter/nf_conntrack_buckets"
	if sysfs.ReadOnly(strings.TrimPrefix(name, "net/netfilter/")) {
		return "the kernel counts it: it cannot be set"
	}
	if name != buckets {
		return ""
	}
	before, known := kmod.IsBefore(r.release(), 4, 7)
	if info, err := r.tree.Stat("/proc/sys/" + name); err == nil {
		before, known = before && info.Mode()&0o222 == 0, true
	}
	if before && known && !strings.Contains(r.release(), ".el7") { // Red Hat may have brought it to its 3.10
		return "before Linux 4.7 it can only be read: hashsize= of the module and its file in /sys set it"
	}
	return ""
}
