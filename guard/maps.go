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
	// defaultBuffer has room for some 500 records.
	defaultBuffer = 64 << 10
	// maxRules bounds the settings that are kept, each of which has a name or two.
	maxRules = 1024
	// maxAllowed bounds the cgroups whose writes are let through.
	maxAllowed = 16384
)

// maps are what the programs and the guard share.
type maps struct {
	rules   *ebpf.Map // name of a sysctl → rule
	allowed *ebpf.Map // ids of cgroups
	ring    *ebpf.Map // records
	lost    *ebpf.Map // how many records found no room, at 0
	request *ebpf.Map // who demanded a module last, at 0
}

func newMaps(buffer int) (*maps, error) {
	if buffer == 0 {
		buffer = defaultBuffer
	}
	m := &maps{}
	for _, spec := range []struct {
		to *(*ebpf.Map)
		ebpf.MapSpec
	}{
		{&m.rules, ebpf.MapSpec{Name: "ctkeeper_rules", Type: ebpf.Hash, KeySize: nameSize, ValueSize: ruleSize, MaxEntries: maxRules, Flags: noPrealloc}},
		{&m.allowed, ebpf.MapSpec{Name: "ctkeeper_allow", Type: ebpf.Hash, KeySize: 8, ValueSize: 1, MaxEntries: maxAllowed, Flags: noPrealloc}},
		{&m.ring, ebpf.MapSpec{Name: "ctkeeper_ring", Type: ebpf.RingBuf, MaxEntries: uint32(buffer)}}, //nolint:gosec // the kernel refuses what is too large
		{&m.lost, ebpf.MapSpec{Name: "ctkeeper_lost", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}},
		{&m.request, ebpf.MapSpec{Name: "ctkeeper_request", Type: ebpf.Hash, KeySize: 4, ValueSize: actorSize, MaxEntries: 1}},
	} {
		made, err := ebpf.NewMap(&spec.MapSpec)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot make a BPF map: %w", err), m.close())
		}
		*spec.to = made
	}
	return m, nil
}

// noPrealloc has a map take memory for what is in it alone (BPF_F_NO_PREALLOC). Only the
// program for sysctls reads such a map, which runs where it may sleep.
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

// rule is what the program knows of a setting.
type rule struct {
	Low, High int64
	Index     uint32
	Flags     uint32
}

// ruleOf gives the rule of a want: the numbers that satisfy it, as sysfs.Want.Satisfied has
// it. A number that says "no limit" is the greatest there is.
func ruleOf(want sysfs.Want, index uint32, lock bool) rule {
	r := rule{Low: math.MinInt64, High: math.MaxInt64, Index: index}
	if !lock || !CanLock(want.Setting) {
		return r
	}
	low, high, ok := want.Span()
	if !ok {
		return r
	}
	r.Low, r.High, r.Flags = low, high, flagLock
	if want.Setting.ZeroIsNoLimit {
		r.Flags |= flagZeroIsNoLimit
	}
	return r
}

// names are those under which the kernel knows a setting's sysctl, as bpf_sysctl_get_name
// gives them: paths below /proc/sys. One that is too long is left out.
func names(s *sysfs.Setting) []string {
	var out []string
	for _, file := range s.Sysctls() {
		if name := strings.TrimPrefix(file, "proc/sys/"); len(name) < nameSize {
			out = append(out, name)
		}
	}
	return out
}

// key is a name as the program looks it up.
func key(name string) [nameSize]byte {
	var k [nameSize]byte
	copy(k[:], name)
	return k
}

// replace makes the contents of a map those of wanted: what is new or changed first, then
// what is to go, so that nothing that stays is missing for a moment.
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
		if old, there := present[k]; there && old == v {
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

// self is the daemon's pid as the programs see it, or 0 where that is not known: in another
// pid namespace than the first, whose inode never changes (PROC_PID_INIT_INO).
func ownPID() int {
	if where, err := os.Readlink("/proc/self/ns/pid"); err != nil || where != "pid:[4026531836]" {
		return 0
	}
	return os.Getpid()
}
