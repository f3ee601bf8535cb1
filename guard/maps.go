package guard

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maps are the BPF maps that the programs and the guard share.
type maps struct {
	bpfMaps
	// What the programs are loaded from, and the kernel's types.
	spec   *ebpf.CollectionSpec
	kernel *btf.Cache
}

// newMaps creates the maps, with a ring buffer of the given size; 0 means 64 KiB. The kernel refuses a size that is
// too large. hashsize is the index of that setting.
func newMaps(buffer int, hashsize uint32) (*maps, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("cannot read the BPF programs: %w", err)
	}
	netns, err := ownNetns()
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]uint32{
		bpfVarOwnPid: ownPID(), bpfVarOwnNetns: netns, bpfVarHashsize: hashsize,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("cannot set %s for the BPF programs: %w", name, err)
		}
	}
	if buffer != 0 {
		spec.Maps[bpfMapCtkeeperRing].MaxEntries = uint32(buffer) //nolint:gosec // see above
	}
	m := &maps{spec: spec, kernel: btf.NewCache()}
	if err := spec.LoadAndAssign(&m.bpfMaps, nil); err != nil {
		return nil, fmt.Errorf("cannot create the BPF maps: %w", err)
	}
	return m, nil
}

// ruleOf returns the rule of a want: the range of numbers that satisfy it, as sysfs.Want.Satisfied does. A
// number that means "no limit" is treated as the largest one.
func (g *Guard) ruleOf(want sysfs.Want, mode Mode) bpfRule {
	r := bpfRule{Low: math.MinInt64, High: math.MaxInt64, Setting: g.index(want.Setting)}
	if want.Setting.Global {
		r.Flags = bpfFlagsGLOBAL
	}
	if mode == Watch || !g.CanBlock(want.Setting) {
		return r
	}
	low, high, ok := want.Span()
	if !ok {
		return r
	}
	r.Low, r.High = low, high
	if mode == Lock {
		r.Flags |= bpfFlagsLOCK
	} else {
		r.Flags |= bpfFlagsHOLD
	}
	if want.Setting.ZeroIsNoLimit {
		r.Flags |= bpfFlagsZERO_IS_NO_LIMIT
	}
	return r
}

// sysctlNames returns the sysctl names of a setting as bpf_sysctl_get_name returns them: paths below /proc/sys. It
// leaves out a name that is too long.
func sysctlNames(s *sysfs.Setting) []string {
	var names []string
	for _, file := range s.Sysctls() {
		if name := strings.TrimPrefix(file, "proc/sys/"); len(name) < len(bpfName{}.Text) {
			names = append(names, name)
		}
	}
	return names
}

// ruleKey returns a sysctl name as a key of the map of rules.
func ruleKey(name string) (key bpfName) {
	copy(key.Text[:], name)
	return key
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
// is not in the initial pid namespace.
func ownPID() uint32 {
	if inHost, _ := process.InHostPIDs(); !inHost {
		return 0
	}
	return uint32(os.Getpid()) //nolint:gosec // pid_t is positive
}

// ownNetns returns the inode number of the daemon's network namespace.
func ownNetns() (uint32, error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &stat); err != nil {
		return 0, fmt.Errorf("cannot identify the network namespace: %w", err)
	}
	return uint32(stat.Ino), nil //nolint:gosec // an unsigned int (struct ns_common)
}
