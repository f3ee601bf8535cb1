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
	// remembered is how many writes to a setting, and moduleEvents of the module, are kept.
	remembered = 32
	// drainTime bounds how long a pass waits for what the buffer still has.
	drainTime = 50 * time.Millisecond
	// A write is looked for again after firstLook, and then four times as long, to lastLook:
	// a resize of a large hash table takes a second or more.
	firstLook = time.Millisecond
	lastLook  = 4096 * time.Millisecond
	// maxRequestAge bounds the time between a demand for a module and its load.
	maxRequestAge = 10 * time.Second
	// burst is how many records are read in burstTime: whoever has a network namespace may write
	// its settings as fast as can be, and is to cost next to nothing. What then overruns is
	// counted.
	burst     = 1024
	burstTime = 100 * time.Millisecond
)

// write is a foreign write that was let through.
type write struct {
	at    time.Time
	value string
	by    sysfs.Writer
	// open is a write whose value no pass has found yet.
	unseen bool
}

// move is a load or an unload of the module.
type moduleEvent struct {
	at     time.Time
	loaded bool
	by     sysfs.Writer
}

// memory is what the programs told lately.
type recent struct {
	mu           sync.Mutex
	writes       map[string][]write // by setting, the oldest first
	moduleEvents []moduleEvent
}

// read takes records out of the buffer, until ctx has ended and what was in the buffer is read,
// or a burst of it.
func (g *Guard) read(ctx context.Context, look func(overflow bool), refused func(Refusal)) error {
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
			g.handleRecord(r, look, refused)
		}
		if raw.Remaining == 0 && g.overran() {
			look(true)
		}
		if n%burst == 0 {
			if err := rest(ctx, burstTime-time.Since(began)); err != nil {
				return err // a storm may never let the buffer be empty
			}
			began = time.Now()
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err()
}

// overran reports whether records found no room since it was asked last.
func (g *Guard) overran() bool {
	var lost uint64
	if g.maps.lost.Lookup(uint32(0), &lost) != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	news := lost != g.lost
	g.lost = lost
	return news
}

// told deals with one record.
func (g *Guard) handleRecord(r record, look func(overflow bool), refused func(Refusal)) {
	switch {
	case r.kind == loadedModule || r.kind == unloadedModule:
		g.recordModuleEvent(r)
	case r.kind == wroteSysfs && r.result < 0: // the kernel took nothing
	case r.refused:
		if s, _ := g.setting(r.setting); s != nil {
			refused(Refusal{At: wallTime(r.time), Setting: s, Value: strings.TrimSpace(r.text), By: g.writerOf(r.actor)})
		}
	default:
		look(false) // before the name is looked up
		g.recordWrite(r)
	}
}

// wrote remembers a write. One of a value that satisfies, or that the kernel took already,
// needs no second look.
func (g *Guard) recordWrite(r record) {
	s, want := g.setting(r.setting)
	if s == nil {
		return
	}
	seen := write{at: wallTime(r.time), value: r.text, by: g.writerOf(r.actor)}
	seen.unseen = r.kind == wroteSysctl && !want.Satisfied(s.Parse(r.text))
	m := &g.recent
	m.mu.Lock()
	m.writes[s.Name] = keepLast(m.writes[s.Name], seen)
	m.mu.Unlock()
	if seen.unseen {
		select {
		case g.newWrite <- struct{}{}:
		default:
		}
	}
}

func (g *Guard) recordModuleEvent(r record) {
	who := r.actor
	requested := r.request.time != 0 && r.time-r.request.time < uint64(maxRequestAge)
	if r.kind == loadedModule && r.cgroup == rootCgroup && requested {
		who = r.request // the modprobe is the kernel's own
	}
	m := &g.recent
	by := g.writerOf(who)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moduleEvents = keepLast(m.moduleEvents, moduleEvent{wallTime(r.time), r.kind == loadedModule, by})
}

func keepLast[T any](list []T, next T) []T {
	if len(list) == remembered {
		list = append(list[:0], list[1:]...)
	}
	return append(list, next)
}

// setting gives the setting of an index and what is wanted of it; nil is none that is kept.
func (g *Guard) setting(index uint32) (*sysfs.Setting, sysfs.Want) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if index >= uint32(len(g.settings)) { //nolint:gosec // bounded by the number of settings
		return nil, sysfs.Want{}
	}
	want, kept := g.wants[g.settings[index].Name]
	if !kept {
		return nil, want
	}
	return want.Setting, want
}

// name tells who it was.
func (g *Guard) writerOf(a actor) sysfs.Writer {
	var where sysfs.Writer
	if g.cgroups != nil {
		where = parsePath(g.cgroups.path(a.cgroup))
	}
	return a.writer(where)
}

// follow has everything looked at again while a write is open.
func (g *Guard) recheck(ctx context.Context, look func(overflow bool)) error {
	for delay := time.Duration(0); ; {
		var next <-chan time.Time
		if delay != 0 {
			next = time.After(delay)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.newWrite:
			delay = firstLook
		case <-next:
			if delay *= 4; delay > lastLook || !g.recent.hasUnseen() {
				delay = 0
			}
			look(false)
		}
	}
}

// unsettled reports whether any write is open, and forgets to wait for those that are too old.
func (m *recent) hasUnseen() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	open := false
	for _, writes := range m.writes {
		for i := range writes {
			writes[i].unseen = writes[i].unseen && time.Since(writes[i].at) < 2*lastLook
			open = open || writes[i].unseen
		}
	}
	return open
}

// WriterOf names who last gave a setting the value that was found, at after or later; nil where
// nobody was seen. The last 32 writes to each setting are known. It waits up to 50 ms for what
// was told and not read yet. It implements reconcile.Attributor.
func (g *Guard) WriterOf(s *sysfs.Setting, found sysfs.Value, after time.Time) *sysfs.Writer {
	g.drain()
	m := &g.recent
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, w := range slices.Backward(m.writes[s.Name]) {
		if w.at.Before(after) {
			break
		}
		if s.Shows(found, w.value) {
			m.writes[s.Name][i].unseen = false
			return &w.by
		}
	}
	return nil
}

// ModuleChangedBy names who last loaded or unloaded nf_conntrack, at after or later; nil where nobody was
// seen. A load on demand names who demanded it, not the modprobe that the kernel started. It
// implements reconcile.Attributor.
func (g *Guard) ModuleChangedBy(loaded bool, after time.Time) *sysfs.Writer {
	g.drain()
	m := &g.recent
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, moved := range slices.Backward(m.moduleEvents) {
		if moved.at.Before(after) {
			break
		}
		if moved.loaded == loaded {
			return &moved.by
		}
	}
	return nil
}

// drain waits until all that is in the buffer has been read: a record is there before its
// value is in force, so that whoever found a value finds its writer.
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

// signal tells all who wait that something has happened once more.
type broadcast struct {
	mu    sync.Mutex
	c     chan struct{}
	ended bool
}

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

func (s *broadcast) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil && !s.ended {
		close(s.c)
		s.c = nil
	}
}

// end lets nobody wait any more.
func (s *broadcast) close() {
	s.notify()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// wall is the time of day of a moment of CLOCK_MONOTONIC, which is what the programs have.
func wallTime(monotonic uint64) time.Time {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return time.Now()
	}
	return time.Now().Add(time.Duration(int64(monotonic) - now.Nano())) //nolint:gosec // centuries
}
