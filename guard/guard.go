package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Options are the parameters of Open.
type Options struct {
	// Allow names units (kube-proxy.service) and slices whose writes the lock lets through.
	Allow []string
	// Buffer is the size of the ring buffer in bytes, a power of two and a multiple of the
	// page size; 0 is 64 KiB, some 500 writes.
	Buffer int
	// Cgroup is the directory to attach to; "" is the root of the cgroup v2 tree. For tests:
	// what happens elsewhere in the tree is not seen.
	Cgroup string
}

// Refusal is a foreign write that the lock refused.
type Refusal struct {
	At      time.Time
	Setting *sysfs.Setting
	// Value is what would have been written, as far as it was told: 63 bytes at most.
	Value string
	By    sysfs.Writer
}

// Guard is the attached programs and the writes that they reported lately. All its methods may be called
// from several goroutines.
type Guard struct {
	maps     *maps
	programs []attached
	ring     *ringbuf.Reader
	cgroups  *cgroups // nil where the tree cannot be followed
	features Features
	recent   recent
	drained  broadcast
	newWrite chan struct{} // has something when a write may not be in force yet
	closed   sync.Once

	mu       sync.Mutex
	settings []*sysfs.Setting // by index; grows only
	indexes  map[string]uint32
	wants    map[string]sysfs.Want // by the setting's name
	lost     uint64
}

// Open loads the programs and attaches them, by BPF_PROG_LOAD and BPF_LINK_CREATE of bpf(2).
// It needs CAP_BPF and CAP_NET_ADMIN (capabilities(7)); what CAP_PERFMON would add is in
// Features. The error is an *Unavailable. Until SetWants nothing is watched.
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
	return &Guard{newWrite: make(chan struct{}, 1), indexes: map[string]uint32{}, wants: map[string]sysfs.Want{}, recent: recent{writes: map[string][]write{}}}
}

func (g *Guard) open(opts Options, mount string) (err error) {
	who, err := probeIdentity(ebpf.CGroupSysctl, ownPID())
	if err != nil {
		return fmt.Errorf("cannot load programs for sysctls: %w", err)
	}
	if g.maps, err = newMaps(opts.Buffer); err != nil {
		return err
	}
	if g.ring, err = ringbuf.NewReader(g.maps.ring); err != nil {
		return fmt.Errorf("cannot read the ring buffer: %w", err)
	}
	// The tree first: a unit that writes right after the program is attached is known then.
	switch g.cgroups, err = openCgroups(mount, opts.Allow); {
	case err == nil:
		g.updateAllowed()
	case len(opts.Allow) > 0: // a lock would refuse them as well
		return err
	default:
		g.addMissing("the unit of a writer", err)
	}
	dir := opts.Cgroup
	if dir == "" {
		dir = mount
	}
	sysctl, err := attachCgroup(sysctlProgram(g.maps, who), dir)
	if err != nil {
		return err
	}
	g.programs = append(g.programs, sysctl)
	g.features.PID, g.features.Comm, g.features.Unit = who.pid || who.task, who.comm || who.task, g.cgroups != nil
	// Newer kernels want the right for the helper, old ones have none: there it lets the
	// task_struct be read.
	without := ebpf.ErrNotSupported
	switch {
	case !hasCapability(CapPerfmon):
		without = fs.ErrPermission
	case !hasHelper(ebpf.RawTracepoint, asm.FnProbeReadKernel):
		without = errHidden
	}
	if !g.features.PID {
		g.addMissing("the pid of a writer", without, CapPerfmon)
	}
	if !g.features.Comm {
		g.addMissing("the command of a writer", without, CapPerfmon)
	}
	g.trace()
	return nil
}

// errHidden is a kernel that lets no program read its memory (LOCKDOWN_BPF_READ_KERNEL).
var errHidden = errors.New("the kernel's memory is hidden")

// traceable probes whether programs of a type may be loaded, and see what they are to see.
func probeTracing(kind ebpf.ProgramType, self int) (identity, error) {
	who, err := probeIdentity(kind, self)
	if err == nil && !hasHelper(kind, asm.FnProbeReadKernel) {
		err = errHidden
	}
	return who, err
}

// trace attaches the tracing programs, as far as that can be.
func (g *Guard) trace() {
	if who, err := probeTracing(ebpf.RawTracepoint, 0); err != nil {
		g.addMissing("who loads and unloads the module", err, CapPerfmon)
	} else {
		g.features.Modules = true
		for name, spec := range map[string]*ebpf.ProgramSpec{
			"module_load": loadProgram(g.maps, who), "module_free": unloadProgram(g.maps, who), "module_request": requestProgram(g.maps, who),
		} {
			a, err := attachTracepoint(spec, name)
			if err != nil {
				g.addMissing("who loads and unloads the module", err, CapPerfmon)
				g.features.Modules = false
				break
			}
			g.programs = append(g.programs, a)
		}
	}
	who, err := probeTracing(ebpf.Tracing, ownPID())
	if err == nil {
		var a attached
		if a, err = attachTracing(sysfsProgram(g.maps, who, g.index(sysfs.Lookup(sysfs.Hashsize)))); err == nil {
			g.programs = append(g.programs, a)
		}
	}
	if g.features.Sysfs = err == nil; err != nil {
		g.addMissing("who writes hashsize through sysfs", err, CapPerfmon)
	}
}

func (g *Guard) addMissing(what string, err error, rights ...string) {
	g.features.Missing = append(g.features.Missing, explain(what, err, rights...))
}

// Close detaches everything; a write that is refused at that moment stays refused. The second
// time it does nothing. The error says what could not be closed.
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
		errs = append(errs, g.maps.close())
	}
	return errors.Join(errs...)
}

// Features returns what the guard can report here.
func (g *Guard) Features() Features { return g.features }

// CanLock reports whether the lock covers a setting: only those with one value for the whole
// host. The program cannot tell in which network namespace a write happens, so that the
// others are watched alone.
func CanLock(s *sysfs.Setting) bool { return s.Global }

// SetWants replaces the settings that are watched. If lock is true, foreign writes of values that do
// not satisfy the want are refused, for settings that CanLock. Sysctls whose name is longer than 127
// bytes are left out. It returns an error if the map is full (1024 names) or the guard is closed;
// changes made before the error remain.
func (g *Guard) SetWants(wants []sysfs.Want, lock bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	rules := map[[nameSize]byte]rule{}
	g.wants = map[string]sysfs.Want{}
	for _, want := range wants {
		g.wants[want.Setting.Name] = want
		for _, name := range names(want.Setting) {
			rules[key(name)] = ruleOf(want, g.index(want.Setting), lock)
		}
	}
	return replace(g.maps.rules, rules)
}

// index is the number under which the programs know a setting. It never changes, so that a
// record which is read late is still understood.
func (g *Guard) index(s *sysfs.Setting) uint32 {
	i, known := g.indexes[s.Name]
	if !known {
		i = uint32(len(g.settings)) //nolint:gosec // bounded by the number of settings
		g.settings, g.indexes[s.Name] = append(g.settings, s), i
	}
	return i
}

// Run calls look for every foreign write to a kept setting, and again a few times shortly
// after, because a program that runs before the write is heard before its value is in force;
// overflow is true where the ring buffer overran and writes were lost. refused is called for
// every write that the lock refused. Run ends with ctx, or when the buffer cannot be read.
func (g *Guard) Run(ctx context.Context, look func(overflow bool), refused func(Refusal)) error {
	tasks, ctx := errgroup.WithContext(ctx)
	if g.cgroups != nil {
		tasks.Go(func() error { return g.cgroups.run(ctx, func() { g.updateAllowed() }) })
	}
	tasks.Go(func() error { return g.recheck(ctx, look) })
	tasks.Go(func() error { return g.read(ctx, look, refused) })
	tasks.Go(func() error {
		<-ctx.Done()
		return errors.Join(ctx.Err(), g.ring.Flush()) // which wakes read
	})
	err := tasks.Wait()
	g.drained.close()
	return err
}

// letThrough tells the program which cgroups are allowed.
func (g *Guard) updateAllowed() {
	ids := map[uint64]uint8{}
	for _, id := range g.cgroups.allowed() {
		ids[id] = 1
	}
	_ = replace(g.maps.allowed, ids) // who is missing is refused, and that is said
}
