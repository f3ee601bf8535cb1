package term

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// Limits of what is kept for the screen, which is never larger.
const (
	maxPoints = 512
	maxEvents = 256
)

// point is one sample of the table for the sparklines. Nil is a figure that could not be read.
type point struct {
	at      time.Time
	entries *int64
	lost    *table.Losses
}

// model is all that the screen shows. It reads no clock, no terminal and no daemon: all of it comes in messages.
type model struct {
	style
	// zone is the time zone of the times on the screen; nil is the local one.
	zone          *time.Location
	width, height int

	status status.Document
	// at is the time of the status; zero before the first one.
	at time.Time
	// failed is the error of the last read of the status.
	failed error
	// lost is when a daemon that was running stopped answering.
	lost time.Time

	points []point
	events []reconcile.Event
	// top is the index of the first setting on the screen.
	top int
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
		m.top, cmd = m.handleKey(msg.String())
	case statusMsg:
		m = m.withStatus(msg)
	case eventMsg:
		m.events = lastOf(append(m.events, reconcile.Event(msg)), maxEvents)
	}
	m.top = min(m.top, len(m.status.Settings)-m.plan().settings)
	m.top = max(m.top, 0)
	return m, cmd
}

// handleKey returns the first setting to show after a key, and the command that the key stands for.
func (m model) handleKey(key string) (int, tea.Cmd) {
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

// withStatus returns the model with a new status.
func (m model) withStatus(msg statusMsg) model {
	if m.failed = msg.err; msg.err != nil {
		return m
	}
	switch {
	case msg.status.Daemon.Running:
		m.lost = time.Time{}
	case m.status.Daemon.Running:
		m.lost = msg.at
	}
	p := point{msg.at, msg.status.Table.Entries, msg.status.Table.LossesSince(m.status.Table)}
	m.points = lastOf(append(m.points, p), maxPoints)
	m.status, m.at = msg.status, msg.at
	return m
}

// lastOf returns the last n elements. A shortened slice is a copy: an older model keeps its own.
func lastOf[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	return append(make([]T, 0, n+1), all[len(all)-n:]...)
}
