package term

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
)

// What is remembered for the screen, which is never larger.
const (
	maxPoints = 512
	maxEvents = 256
)

// point is one look at the table, for the sparklines. Nil is what could not be
// read.
type point struct {
	at             time.Time
	entries, drops *int64
}

// model is all that the screen shows. It knows no clock, no terminal and no
// daemon: messages tell it everything.
type model struct {
	look
	// zone is the time zone of the times that people read; nil is the local one.
	zone          *time.Location
	width, height int

	status status.Document
	// at is when the status was that; the zero time says that nothing is known yet.
	at time.Time
	// failed is why there is nothing newer.
	failed error
	// lost is since when the daemon, which was there, does not answer.
	lost time.Time

	points []point
	events []reconcile.Event
	// top is the first setting that is shown.
	top int
}

// Init has nothing to begin: the feed does.
func (m model) Init() tea.Cmd { return nil }

// Update takes in a message.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		m.top, cmd = m.key(msg.String())
	case looked:
		m = m.saw(msg)
	case happened:
		m.events = lastOf(append(m.events, reconcile.Event(msg)), maxEvents)
	}
	m.top = min(m.top, len(m.status.Settings)-m.plan().settings)
	m.top = max(m.top, 0)
	return m, cmd
}

// key gives the first setting to show after a key, and what else to do.
func (m model) key(key string) (int, tea.Cmd) {
	page := max(m.plan().settings, 1)
	switch key {
	case "q", "Q", "esc", "ctrl+c":
		return m.top, tea.Quit
	case "up", "k":
		return m.top - 1, nil
	case "down", "j":
		return m.top + 1, nil
	case "pgup":
		return m.top - page, nil
	case "pgdown", "space":
		return m.top + page, nil
	case "home", "g":
		return 0, nil
	case "end", "G":
		return len(m.status.Settings), nil
	}
	return m.top, nil
}

// saw takes in what a look found.
func (m model) saw(l looked) model {
	if m.failed = l.err; l.err != nil {
		return m
	}
	switch {
	case l.status.Daemon.Running:
		m.lost = time.Time{}
	case m.status.Daemon.Running:
		m.lost = l.at
	}
	p := point{l.at, l.status.Table.Entries, l.status.Table.DropsSince(m.status.Table)}
	m.points = lastOf(append(m.points, p), maxPoints)
	m.status, m.at = l.status, l.at
	return m
}

// lastOf gives the last n of a slice, in memory of its own when it takes any away:
// a model that was given away keeps what it has.
func lastOf[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	return append(make([]T, 0, n+1), all[len(all)-n:]...)
}
