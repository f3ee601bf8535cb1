package guard

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// defaultBuffer is the size of the ring buffer in bytes: some 500 records.
	defaultBuffer = 64 << 10
	// maxRules bounds the sysctl names that are watched: one or two for each setting with a want.
	maxRules = 1024
	// maxAllowed bounds the cgroups whose writes are never blocked.
	maxAllowed = 16384
)

// maps are the BPF maps that the programs and the guard share.
type maps struct {
	rules   *ebpf.Map // sysctl name → rule
	allowed *ebpf.Map // set of cgroup ids
	ring    *ebpf.Map // the ring buffer of records
	lost    *ebpf.Map // at 0: the number of records lost because the ring buffer was full
	request *ebpf.Map // at 0: the actor that last requested a module
}

// newMaps creates the maps, with a ring buffer of the given size; 0 means defaultBuffer. The kernel refuses a
// size that is too large. Names have at most 15 bytes (BPF_OBJ_NAME_LEN).
func newMaps(buffer int) (*maps, error) {
	if buffer == 0 {
		buffer = defaultBuffer
	}
	m := &maps{}
	for _, spec := range []struct {
		to *(*ebpf.Map)
		ebpf.MapSpec
	}{
		{&m.rules, ebpf.MapSpec{
			Name: "ctkeeper_rules", Type: ebpf.Hash, KeySize: nameSize, ValueSize: ruleSize,
			MaxEntries: maxRules, Flags: noPrealloc,
		}},
		{&m.allowed, ebpf.MapSpec{
			Name: "ctkeeper_allow", Type: ebpf.Hash, KeySize: 8, ValueSize: 1,
			MaxEntries: maxAllowed, Flags: noPrealloc,
		}},
		{&m.ring, ebpf.MapSpec{
			Name: "ctkeeper_ring", Type: ebpf.RingBuf, MaxEntries: uint32(buffer), //nolint:gosec // see above
		}},
		{&m.lost, ebpf.MapSpec{
			Name: "ctkeeper_lost", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
		}},
		{&m.request, ebpf.MapSpec{
			Name: "ctkeeper_modreq", Type: ebpf.Hash, KeySize: 4, ValueSize: actorSize, MaxEntries: 1,
		}},
	} {
		created, err := ebpf.NewMap(&spec.MapSpec)
		if err != nil {
			err = fmt.Errorf("cannot create the BPF map %s: %w", spec.Name, err)
			return nil, errors.Join(err, m.close())
		}
		*spec.to = created
	}
	return m, nil
}

// noPrealloc makes a map allocate memory only for its entries (BPF_F_NO_PREALLOC). Only the sysctl program
// reads such a map, and it runs where the kernel may sleep.
const noPrealloc = 1

func (m *maps) close() error {
	var errs []error
	for _, each := range []*ebpf.Map{m.rules, m.allowed, m.ring, m.lost, m.request} {
		if each != nil {
			errs = append(errs, each.Close())
		}
	}
	return errors.Join(errs...)
}

// rule is a value of the map of rules, in the layout that the program reads (ruleLow and the others).
type rule struct {
	Low, High int64
	Index     uint32
	Flags     uint32
}

// ruleOf returns the rule of a want: the range of numbers that satisfy it, as sysfs.Want.Satisfied does. A
// number that means "no limit" is treated as the largest one.
func (g *Guard) ruleOf(want sysfs.Want, mode Mode) rule {
	r := rule{Low: math.MinInt64, High: math.MaxInt64, Index: g.index(want.Setting)}
	if mode == Watch || !g.CanBlock(want.Setting) {
		return r
	}
	low, high, ok := want.Span()
	if !ok {
		return r
	}
	r.Low, r.High, r.Flags = low, high, flagLock
	if mode == Hold {
		r.Flags = flagHold
	}
	if want.Setting.ZeroIsNoLimit {
		r.Flags |= flagZeroIsNoLimit
	}
	return r
}

// sysctlNames returns the sysctl names of a setting as bpf_sysctl_get_name returns them: paths below /proc/sys. It
// leaves out a name that is too long.
func sysctlNames(s *sysfs.Setting) []string {
	var names []string
	for _, file := range s.Sysctls() {
		if name := strings.TrimPrefix(file, "proc/sys/"); len(name) < nameSize {
			names = append(names, name)
		}
	}
	return names
}

// ruleKey returns a sysctl name as a key of the map of rules.
func ruleKey(name string) [nameSize]byte {
	var k [nameSize]byte
	copy(k[:], name)
	return k
}

// replace makes wanted the contents of a map. It first writes new and changed entries, and then deletes the
// others, so that an entry that stays is never missing.
func replace[K comparable, V comparable](m *ebpf.Map, wanted map[K]V) error {
	present := map[K]V{}
	var k K
	var v V
	entries := m.Iterate()
	for entries.Next(&k, &v) {
		present[k] = v
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("cannot read a BPF map: %w", err)
	}
	for k, v := range wanted {
		if old, found := present[k]; found && old == v {
			continue
		}
		if err := m.Put(k, v); err != nil {
			return fmt.Errorf("cannot write a BPF map: %w", err)
		}
	}
	for k := range present {
		if _, stays := wanted[k]; stays {
			continue
		}
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("cannot write a BPF map: %w", err)
		}
	}
	return nil
}

// ownPID returns the daemon's pid as the programs see it. It returns 0 if that is unknown, because the daemon
// is not in the initial pid namespace, whose inode number never changes (PROC_PID_INIT_INO).
func ownPID() int {
	if namespace, err := os.Readlink("/proc/self/ns/pid"); err != nil || namespace != "pid:[4026531836]" {
		return 0
	}
	return os.Getpid()
}
