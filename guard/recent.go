package guard

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// maxKept is how many writes to each setting are kept, and how many loads and unloads.
	maxKept = 32
	// maxCandidates is how many possible writers are named: a process can have any name.
	maxCandidates = 3
	// drainTime bounds how long a pass waits until the records in the buffer are read.
	drainTime = 50 * time.Millisecond
	// After a write the reconcile loop is woken again after firstRecheck, then after four times as long
	// each, up to lastRecheck: a resize of a large hash table takes a second or more.
	firstRecheck = time.Millisecond
	lastRecheck  = 4096 * time.Millisecond
	// maxRequestAge bounds the time between a request for a module and its load.
	maxRequestAge = 10 * time.Second
	// At most burst records are read in burstTime: anybody who has a network namespace may write its
	// settings without a limit, and should cost next to nothing. What then overflows is counted.
	burst     = 1024
	burstTime = 100 * time.Millisecond
)

// write is a foreign write that was let through.
type write struct {
	at    time.Time
	value string
	by    sysfs.Writer
	// inNetns is true if it took effect in the daemon's network namespace for certain.
	inNetns bool
	// unconfirmed is true until a pass has found the value: it may not have taken effect yet.
	unconfirmed bool
	reported    bool // writerOf has returned it
}

// moduleEvent is a load or an unload of the module.
type moduleEvent struct {
	at     time.Time
	loaded bool
	by     sysfs.Writer
}

// recent has the last writes and module events that the programs reported.
type recent struct {
	mu           sync.Mutex
	writes       map[string][]write // by setting, oldest first
	moduleEvents []moduleEvent
}

// read handles records from the buffer. After ctx has ended, it stops when the buffer is empty, or after a
// burst.
func (g *Guard) read(ctx context.Context, wake func(overflow bool), blocked func(BlockedWrite)) error {
	var raw ringbuf.Record
	began := time.Now()
	for n := 1; ; n++ {
		switch err := g.ring.ReadInto(&raw); {
		case errors.Is(err, ringbuf.ErrFlushed) && ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ringbuf.ErrFlushed):
			g.drained.notify()
			continue
		case err != nil:
			return err
		}
		if r, ok := decode(raw.RawSample); ok {
			g.handleRecord(r, wake, blocked)
		}
		if raw.Remaining == 0 && g.overran() {
			wake(true)
		}
		if n%burst == 0 {
			if err := pause(ctx, burstTime-time.Since(began)); err != nil {
				return err // a storm may never let the buffer be empty
			}
			began = time.Now()
		}
	}
}

// pause waits for d, or until ctx ends; it returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err()
}

// overran reports whether records were lost since the last call, because the buffer was full.
func (g *Guard) overran() bool {
	var lost uint64
	if g.maps.CtkeeperLost.Lookup(uint32(0), &lost) != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	more := lost != g.lost
	g.lost = lost
	return more
}

// handleRecord handles one record.
func (g *Guard) handleRecord(r record, wake func(overflow bool), blocked func(BlockedWrite)) {
	switch {
	case r.kind == bpfKindLOADED_MODULE || r.kind == bpfKindUNLOADED_MODULE:
		g.recordModuleEvent(r)
	case r.kind == bpfKindWROTE_SYSFS && r.result < 0: // the kernel changed nothing
	case r.refused, r.absorbed:
		if r.absorbed {
			wake(false) // the pass sees whether the value stayed
		}
		if s, _ := g.setting(r.setting); s != nil {
			blocked(BlockedWrite{
				At: wallTime(r.time), Setting: s, Value: strings.TrimSpace(r.text),
				By: g.resolveWriter(r.actor), Absorbed: r.absorbed,
			})
		}
	default:
		wake(false) // first: to resolve the writer takes time
		g.recordWrite(r)
	}
}

// recordWrite keeps a write. Only the sysctl program runs before the write takes effect, so only its writes
// are unconfirmed, and only if their value does not satisfy the want.
func (g *Guard) recordWrite(r record) {
	s, want := g.setting(r.setting)
	if s == nil {
		return
	}
	w := write{at: wallTime(r.time), value: r.text, by: g.resolveWriter(r.actor), inNetns: r.netns != 0}
	w.unconfirmed = r.kind == bpfKindWROTE_SYSCTL && !want.Satisfied(s.Parse(r.text))
	m := &g.recent
	m.mu.Lock()
	m.writes[s.Name] = keepLast(m.writes[s.Name], w)
	m.mu.Unlock()
	if w.unconfirmed {
		select {
		case g.newWrite <- struct{}{}:
		default:
		}
	}
}

// recordModuleEvent keeps a load or an unload. A load by the kernel's own modprobe, which runs in the root
// cgroup, is attributed to the process that requested the module.
func (g *Guard) recordModuleEvent(r record) {
	who := r.actor
	requested := r.request.time != 0 && r.time-r.request.time < uint64(maxRequestAge)
	if r.kind == bpfKindLOADED_MODULE && r.cgroup == rootCgroup && requested {
		who = r.request
	}
	m := &g.recent
	by := g.resolveWriter(who)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moduleEvents = keepLast(m.moduleEvents, moduleEvent{wallTime(r.time), r.kind == bpfKindLOADED_MODULE, by})
}

// keepLast appends to a list and keeps the last 32 elements.
func keepLast[T any](list []T, next T) []T {
	if len(list) == maxKept {
		list = append(list[:0], list[1:]...)
	}
	return append(list, next)
}

// setting returns the setting with an index and its want, or nil if it has no want.
func (g *Guard) setting(index uint32) (*sysfs.Setting, sysfs.Want) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if index >= uint32(len(g.settings)) { //nolint:gosec // bounded by the number of settings
		return nil, sysfs.Want{}
	}
	want, found := g.wants[g.settings[index].Name]
	if !found {
		return nil, want
	}
	return want.Setting, want
}

// resolveWriter returns an actor as a Writer, with the unit, container and pod of its cgroup.
func (g *Guard) resolveWriter(a actor) sysfs.Writer {
	var w sysfs.Writer
	if g.cgroups != nil {
		w = parsePath(g.cgroups.path(a.cgroup))
		g.pods.name(&w)
	}
	w.PID, w.Comm = int(a.pid), a.comm
	return w
}

// recheck wakes the reconcile loop repeatedly while a write is unconfirmed.
func (g *Guard) recheck(ctx context.Context, wake func(overflow bool)) error {
	for delay := time.Duration(0); ; {
		var next <-chan time.Time
		if delay != 0 {
			next = time.After(delay)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.newWrite:
			delay = firstRecheck
		case <-next:
			if delay *= 4; delay > lastRecheck || !g.recent.hasUnconfirmed() {
				delay = 0
			}
			wake(false)
		}
	}
}

// hasUnconfirmed reports whether a write is unconfirmed. It ends the wait for those older than 2 × lastRecheck.
func (m *recent) hasUnconfirmed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := false
	for _, writes := range m.writes {
		for i := range writes {
			writes[i].unconfirmed = writes[i].unconfirmed && time.Since(writes[i].at) < 2*lastRecheck
			found = found || writes[i].unconfirmed
		}
	}
	return found
}

// WriterOf returns the last process that set a setting to the value that was found, at after or later, or nil
// if no such write was reported. The last 32 writes to each setting are kept. It waits up to 50 ms until the
// records in the buffer are read. It implements reconcile.Attributor.
//
// Without Features.Netns the network namespace of a write is unknown, and every user may make one with settings of its
// own. So if others wrote the same value to such a setting, the result has all of them as Candidates.
func (g *Guard) WriterOf(s *sysfs.Setting, found sysfs.Value, after time.Time) *sysfs.Writer {
	g.drain()
	m := &g.recent
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writerOf(s, found, after)
}

func (m *recent) writerOf(s *sysfs.Setting, found sysfs.Value, after time.Time) *sysfs.Writer {
	var last *sysfs.Writer
	var candidates []sysfs.Writer
	certain := s.Global
	for i, w := range slices.Backward(m.writes[s.Name]) {
		if w.at.Before(after) {
			break
		}
		if !s.Shows(found, w.value) {
			continue
		}
		if last == nil {
			last, certain = &w.by, s.Global || w.inNetns
			m.writes[s.Name][i].unconfirmed = false
		}
		isSame := func(c sysfs.Writer) bool { return c.Comm == w.by.Comm && c.Cgroup() == w.by.Cgroup() }
		// A write that was reported as the cause of a drift is not the cause of the next one.
		if !w.reported && !slices.ContainsFunc(candidates, isSame) {
			candidates = append(candidates, w.by)
		}
		m.writes[s.Name][i].reported = true
	}
	switch {
	case certain || len(candidates) == 0:
		return last
	case len(candidates) == 1:
		return &candidates[0]
	case len(candidates) > maxCandidates:
		candidates = append(candidates[:maxCandidates], sysfs.Writer{}) // "or somebody"
	}
	several := &sysfs.Writer{}
	for _, c := range candidates {
		several.Candidates = append(several.Candidates, c.String())
	}
	return several
}

// ModuleChanger returns the last process that loaded or unloaded nf_conntrack, at after or later, or nil if
// none was reported. For a load on demand it is the process that requested the module, not the modprobe that
// the kernel started. It implements reconcile.Attributor.
func (g *Guard) ModuleChanger(loaded bool, after time.Time) *sysfs.Writer {
	g.drain()
	m := &g.recent
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, event := range slices.Backward(m.moduleEvents) {
		if event.at.Before(after) {
			break
		}
		if event.loaded == loaded {
			return &event.by
		}
	}
	return nil
}

// drain waits until the records in the buffer are read. A record is submitted before its value takes effect,
// so that a pass that found a value finds its writer.
func (g *Guard) drain() {
	read := g.drained.wait()
	if g.ring.Flush() != nil {
		return
	}
	select {
	case <-read:
	case <-time.After(drainTime):
	}
}

// broadcast wakes all its waiters at once, repeatedly. After close nobody waits any more.
type broadcast struct {
	mu    sync.Mutex
	c     chan struct{}
	ended bool
}

// wait returns a channel that the next notify closes.
func (s *broadcast) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
		if s.ended {
			close(s.c)
		}
	}
	return s.c
}

// notify wakes all current waiters.
func (s *broadcast) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil && !s.ended {
		close(s.c)
		s.c = nil
	}
}

// close wakes all waiters, and every later one.
func (s *broadcast) close() {
	s.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// wallTime converts a time of CLOCK_MONOTONIC, which is what the programs record, to the time of day.
func wallTime(monotonic uint64) time.Time {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return time.Now()
	}
	return time.Now().Add(time.Duration(int64(monotonic) - now.Nano())) //nolint:gosec // centuries
}
