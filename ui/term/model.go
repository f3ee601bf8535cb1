package term

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// slot is the time of one point. Points of the daemon are at least as far apart.
	slot = 5 * time.Second
	// Limits of what is kept: the points of the longest span, and more events than a screen has lines.
	maxPoints = int(6 * time.Hour / slot)
	maxEvents = 256
)

// data is what was read.
type data struct {
	status status.Document
	// at is the time of the status; zero before the first one.
	at time.Time
	// failed is the error of the last read of the status.
	failed error
	// lost is when a daemon that was running stopped answering.
	lost time.Time

	points []table.Point
	events []reconcile.Event
}

// model is all that the screen shows. It reads no clock, no terminal and no daemon: all of it comes in messages.
type model struct {
	style
	// host is the name of the host; empty where it is not known.
	host string
	// zone is the time zone of the times on the screen; nil is the local one.
	zone          *time.Location
	width, height int

	// data is what the screen shows, and next the newest. They differ while the view is paused.
	data
	next   data
	paused bool

	// cursor is the name of the selected setting. Until a key moves it, it is empty and the first one is selected.
	cursor string
	// folded is true if the selected setting has one line.
	folded bool
	// top is the first line of the settings on the screen. within is how many lines of the selected setting's
	// details are left out, where they need more lines than there are.
	top, within int

	// filter selects settings by name, and events of these settings. isTyping is true while it is typed.
	filter   string
	isTyping bool
	// kind is the only kind of event that is shown; empty for all.
	kind reconcile.Kind
	// span is the time that the charts show; zero for one that fits the points.
	span time.Duration

	// overlay is the text that covers the screen, from its line offset on.
	overlay overlay
	offset  int
}

// Init returns no command: the feed sends the first message.
func (m model) Init() tea.Cmd { return nil }

// Update returns the model after a message.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		m, cmd = m.handleKey(msg)
	case statusMsg:
		m.next = m.next.withStatus(msg)
	case historyMsg:
		m.next = m.next.withHistory(msg)
	case eventMsg:
		m.next.events = lastOf(append(m.next.events, reconcile.Event(msg)), maxEvents)
	}
	if !m.paused {
		m.data = m.next
	}
	return m.scrolled(), cmd
}

// withStatus returns the data with a new status.
func (d data) withStatus(msg statusMsg) data {
	if d.failed = msg.err; msg.err != nil {
		return d
	}
	switch {
	case msg.status.Daemon.Running:
		d.lost = time.Time{}
	case d.status.Daemon.Running:
		d.lost = msg.at
	}
	p := table.Point{
		At: msg.at.Unix(), Entries: valueOf(msg.status.Table.Entries), Max: valueOf(msg.status.Table.Max),
	}
	if lost := msg.status.Table.LossesSince(d.status.Table); lost != nil {
		p.Losses = *lost
	}
	d.points = withPoint(d.points, p)
	d.status, d.at = msg.status, msg.at
	return d
}

// withHistory returns the data with the daemon's points before the first of its own.
func (d data) withHistory(points historyMsg) data {
	if len(d.points) > 0 {
		points = slices.DeleteFunc(slices.Clone(points), func(p table.Point) bool { return p.At >= d.points[0].At })
	}
	d.points = lastOf(slices.Concat(points, d.points), maxPoints)
	return d
}

// withPoint adds a point, and merges it with the last one if that is of the same slot. It changes no point in place:
// an older model keeps its own.
func withPoint(points []table.Point, p table.Point) []table.Point {
	const seconds = int64(slot / time.Second)
	if last := len(points) - 1; last >= 0 && points[last].At/seconds == p.At/seconds {
		old := points[last]
		p.Entries = max(p.Entries, old.Entries)
		p.Dropped += old.Dropped
		p.Evicted += old.Evicted
		p.Refused += old.Refused
		p.LostRaces += old.LostRaces
		points = slices.Clone(points[:last])
	}
	return lastOf(append(points, p), maxPoints)
}

func valueOf(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// lastOf returns the last n elements. A shortened slice is a copy: an older model keeps its own.
func lastOf[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	return append(make([]T, 0, n+1), all[len(all)-n:]...)
}
