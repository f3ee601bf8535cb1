package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Options are the parameters of Open.
type Options struct {
	// Allow names units (kube-proxy.service) and slices whose writes are never blocked.
	Allow []string
	// Buffer is the size of the ring buffer in bytes, a power of two and a multiple of the
	// page size; 0 is 64 KiB, some 500 writes.
	Buffer int
	// Cgroup is the directory to attach to; "" is the root of the cgroup v2 tree. Only tests set it: writes
	// from elsewhere in the tree are not reported.
	Cgroup string
}

// Mode is what the guard does about a foreign write of a value that is not wanted.
type Mode uint8

// The modes of a guard.
const (
	// Watch lets the write through and reports it.
	Watch Mode = iota
	// Lock refuses it: write(2) fails with EPERM.
	Lock
	// Hold absorbs it: write(2) succeeds and the value stays. This needs the sysctl
	// kernel.sysctl_writes_strict to be 1, its default: otherwise the write takes effect.
	Hold
)

// BlockedWrite is a foreign write that the guard refused or absorbed.
type BlockedWrite struct {
	At      time.Time
	Setting *sysfs.Setting
	// Value is the text of the write, cut after 63 bytes.
	Value string
	By    sysfs.Writer
	// Absorbed is true for a write that succeeded without effect, false for a refused one.
	Absorbed bool
}

// Guard has the attached programs and the writes that they reported last. All its methods may be called from
// several goroutines.
type Guard struct {
	maps     *maps
	programs []attached
	ring     *ringbuf.Reader
	cgroups  *cgroups // nil if the tree cannot be watched
	pods     *pods
	features Features
	recent   recent
	drained  broadcast
	newWrite chan struct{} // receives after a write that may not have taken effect yet
	closed   sync.Once

	mu       sync.Mutex
	settings []*sysfs.Setting // by index; grows only
	indexes  map[string]uint32
	wants    map[string]sysfs.Want // by the setting's name
	lost     uint64
}

// Open loads the programs and attaches them (bpf(2): BPF_PROG_LOAD, BPF_LINK_CREATE). It needs CAP_BPF and
// CAP_NET_ADMIN (capabilities(7)); Features has what CAP_PERFMON would add. The error is an *Unavailable.
// Nothing is watched before SetWants.
func Open(opts Options) (*Guard, error) {
	mount, err := findCgroup2()
	if err != nil {
		return nil, unavailable(err)
	}
	raiseMemlock()
	g := newGuard()
	if err := g.open(opts, mount); err != nil {
		return nil, errors.Join(unavailable(err), g.Close())
	}
	return g, nil
}

func newGuard() *Guard {
	return &Guard{
		pods:     newPods(),
		newWrite: make(chan struct{}, 1),
		indexes:  map[string]uint32{},
		wants:    map[string]sysfs.Want{},
		recent:   recent{writes: map[string][]write{}},
	}
}

func (g *Guard) open(opts Options, mount string) (err error) {
	if err := features.HaveProgramType(ebpf.CGroupSysctl); err != nil {
		return fmt.Errorf("cannot load programs for sysctls: %w", err)
	}
	if g.maps, err = newMaps(opts.Buffer, g.index(sysfs.Lookup(sysfs.Hashsize))); err != nil {
		return err
	}
	if g.ring, err = ringbuf.NewReader(g.maps.CtkeeperRing); err != nil {
		return fmt.Errorf("cannot read the ring buffer: %w", err)
	}
	// The tree comes first, so that a unit which writes right after the program is attached is known.
	switch g.cgroups, err = openCgroups(mount, opts.Allow); {
	case err == nil:
		g.updateAllowed()
	case len(opts.Allow) > 0: // without the tree the lock would refuse the allowed units' writes too
		return err
	default:
		g.addMissing("the unit of a writer", err)
	}
	dir := opts.Cgroup
	if dir == "" {
		dir = mount
	}
	program, err := g.loadSysctl()
	if err != nil {
		return err
	}
	sysctl, err := attachCgroup(program, dir)
	if err != nil {
		return err
	}
	g.programs = append(g.programs, sysctl)
	g.features.Unit = g.cgroups != nil
	g.addMissingPods()
	g.addMissingTree(mount)
	g.addMissingActor()
	g.attachTracingPrograms()
	g.maps.spec, g.maps.kernel = nil, nil // some megabytes
	return nil
}

func (g *Guard) addMissing(what string, err error, capabilities ...string) {
	g.features.Missing = append(g.features.Missing, describeMissing(what, err, capabilities...))
}

// Close detaches the programs and closes the maps. A write that is being blocked stays blocked. Later calls
// do nothing.
func (g *Guard) Close() (err error) {
	g.closed.Do(func() { err = g.close() })
	return err
}

func (g *Guard) close() error {
	var errs []error
	for _, p := range g.programs {
		errs = append(errs, p.close())
	}
	if g.cgroups != nil {
		errs = append(errs, g.cgroups.close())
	}
	if g.ring != nil {
		errs = append(errs, g.ring.Close())
	}
	if g.maps != nil {
		errs = append(errs, g.maps.Close())
	}
	return errors.Join(errs...)
}

// Features returns what the guard can report on this host.
func (g *Guard) Features() Features { return g.features }

// CanBlock reports whether Lock and Hold apply to a setting. A setting with one value for the whole host can
// always be blocked. Of the others each network namespace has its own: they can be blocked if the programs know the
// namespace (Features.Netns), and then writes that take effect in another namespace are not affected. Texts cannot be
// blocked: the programs compare numbers.
func (g *Guard) CanBlock(s *sysfs.Setting) bool {
	return s.Kind != sysfs.Text && (s.Global || g.features.Netns)
}

// SetWants replaces the settings that are watched. The mode applies to foreign writes of values that do
// not satisfy the want, for settings that CanBlock; to the other settings Watch applies. Sysctls whose name
// is longer than 127 bytes are left out. It returns an error if the map is full (1024 names) or the guard is
// closed; changes made before the error remain.
func (g *Guard) SetWants(wants []sysfs.Want, mode Mode) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	rules := map[bpfName]bpfRule{}
	g.wants = map[string]sysfs.Want{}
	for _, want := range wants {
		g.wants[want.Setting.Name] = want
		for _, name := range sysctlNames(want.Setting) {
			rules[ruleKey(name)] = g.ruleOf(want, mode)
		}
	}
	return replace(g.maps.CtkeeperRules, rules)
}

// index returns the number by which the programs identify a setting. It never changes, so a record that is
// read late still names the right setting.
func (g *Guard) index(s *sysfs.Setting) uint32 {
	i, known := g.indexes[s.Name]
	if !known {
		i = uint32(len(g.settings)) //nolint:gosec // bounded by the number of settings
		g.settings, g.indexes[s.Name] = append(g.settings, s), i
	}
	return i
}

// Run calls wake for every foreign write to a setting with a want, and a few times again shortly after,
// because the program runs before the write takes effect. overflow is true if the ring buffer was full and
// records were lost. Run calls blocked for every write that was refused or absorbed. It returns when ctx ends,
// or when the buffer or inotify fails.
func (g *Guard) Run(ctx context.Context, wake func(overflow bool), blocked func(BlockedWrite)) error {
	tasks, ctx := errgroup.WithContext(ctx)
	if g.cgroups != nil {
		tasks.Go(func() error { return g.cgroups.run(ctx, func() { g.updateAllowed() }) })
	}
	tasks.Go(func() error { return g.recheck(ctx, wake) })
	tasks.Go(func() error { return g.read(ctx, wake, blocked) })
	tasks.Go(func() error {
		<-ctx.Done()
		return errors.Join(ctx.Err(), g.ring.Flush()) // Flush wakes read
	})
	err := tasks.Wait()
	g.drained.close()
	return err
}

// updateAllowed writes the ids of the allowed cgroups to the BPF map. An error has no other effect than
// refused writes, which are reported.
func (g *Guard) updateAllowed() {
	ids := map[uint64]uint8{}
	for _, id := range g.cgroups.allowed() {
		ids[id] = 1
	}
	_ = replace(g.maps.CtkeeperAllow, ids)
}
