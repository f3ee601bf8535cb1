package term

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// overlay is a text that covers the screen.
type overlay int

const (
	noOverlay overlay = iota
	helpOverlay
	problemsOverlay
)

// keys are all keys, for the help. Those that move work in a text that covers the screen, too.
var keys = [][2]string{
	{"?, h, F1", "this help"},
	{"w", "what is wrong: each problem in full, with a link"},
	{"Down, j / Up, k", "select the next / the previous setting"},
	{"PgDn, Space / PgUp", "a page forward / back"},
	{"Home, g / End, G", "the first / the last setting"},
	{"Enter", "unfold or fold the selected setting"},
	{"/", "show only settings with this in their names, and their events"},
	{"e", "show events of one kind: the next one, and after the last all"},
	{"t", "time span of the charts: " + listSpans()},
	{"p", "pause, and continue"},
	{"Esc", "close what covers the screen; else clear the filters"},
	{"q, ^C", "quit"},
}

// handleKey returns the model after a key, and the command that the key stands for.
func (m model) handleKey(msg tea.KeyPressMsg) (model, tea.Cmd) {
	key := msg.String()
	switch {
	case key == "ctrl+c":
		return m, tea.Quit
	case m.isTyping:
		return m.typed(key, msg.Text), nil
	case m.overlay != noOverlay:
		return m.handleOverlayKey(key), nil
	}
	switch key {
	case "q", "Q":
		return m, tea.Quit
	case "?", "h", "f1":
		m.overlay, m.offset = helpOverlay, 0
	case "w":
		m.overlay, m.offset = problemsOverlay, 0
	case "enter":
		if rows := m.rows(); len(rows) > 0 {
			m.folded, m.cursor, m.within = !m.isFolded(rows), rows[m.selected(rows)].Name, 0
		}
	case "/":
		m.isTyping = true
	case "e":
		m.kind = m.nextKind()
	case "t":
		m.span = spans[(slices.Index(spans, m.chartSpan())+1)%len(spans)]
	case "p":
		m.paused = !m.paused
	case "esc":
		m.filter, m.kind = "", ""
	default:
		m = m.moved(key)
	}
	return m, nil
}

// typed returns the model after a key of the filter's text.
func (m model) typed(key, text string) model {
	const maxFilter = 64
	switch key {
	case "enter":
		m.isTyping = false
	case "esc":
		m.isTyping, m.filter = false, ""
	case "backspace":
		runes := []rune(m.filter)
		m.filter = string(runes[:max(len(runes)-1, 0)])
	default:
		if len(m.filter)+len(text) <= maxFilter {
			m.filter += text
		}
	}
	return m
}

// handleOverlayKey returns the model after a key while a text covers the screen.
func (m model) handleOverlayKey(key string) model {
	page := m.overlayPage()
	switch key {
	case "q", "Q", "esc", "enter", "?", "h", "f1", "w":
		m.overlay = noOverlay
	case "up", "k":
		m.offset--
	case "down", "j":
		m.offset++
	case "pgup", "b":
		m.offset -= page
	case "pgdown", "space":
		m.offset += page
	case "home", "g":
		m.offset = 0
	case "end", "G":
		m.offset = len(m.overlayLines())
	}
	return m
}

// moved returns the model after a key that selects another setting. Details that need more lines than there are
// scroll first.
func (m model) moved(key string) model {
	rows := m.rows()
	row, page := m.selected(rows), max(m.plan().settings, 1)
	hidden := len(m.block(rows)) - page
	switch key {
	case "up", "k":
		if m.within > 0 {
			m.within--
			return m
		}
		row--
	case "down", "j":
		if m.within < hidden {
			m.within++
			return m
		}
		row++
	case "pgup", "b":
		row -= page
	case "pgdown", "space":
		row += page
	case "home", "g":
		row = 0
	case "end", "G":
		row = len(rows)
	default:
		return m
	}
	if len(rows) > 0 {
		m.cursor, m.within = rows[max(min(row, len(rows)-1), 0)].Name, 0
	}
	return m
}

// scrolled returns the model with the selected setting on the screen, and of its details as much as fits. A text that
// covers the screen fills it, also after the screen has grown or the text is shorter.
func (m model) scrolled() model {
	if m.overlay != noOverlay {
		m.offset = max(min(m.offset, len(m.overlayLines())-m.overlayPage()), 0)
	}
	rows, lines := m.rows(), m.plan().settings
	row, block := m.selected(rows), len(m.block(rows))
	m.within = max(min(m.within, block-lines), 0)
	block -= m.within
	m.top = min(m.top, len(rows)-1+block-lines)
	m.top = max(min(max(m.top, row+block-lines), row), 0)
	return m
}

// nextKind returns the next kind of which there are events, and after the last one "" for all.
func (m model) nextKind() reconcile.Kind {
	kinds := slices.DeleteFunc(reconcile.Kinds(), func(k reconcile.Kind) bool {
		return !slices.ContainsFunc(m.events, func(e reconcile.Event) bool { return e.Kind == k })
	})
	if i := slices.Index(kinds, m.kind) + 1; i < len(kinds) {
		return kinds[i]
	}
	return ""
}

// overlayPage returns how many lines of a text that covers the screen are shown.
func (m model) overlayPage() int { return max(m.height-1, 1) }

// overlayLines returns the text that covers the screen.
func (m model) overlayLines() []line {
	if m.overlay == helpOverlay {
		return m.help()
	}
	if len(m.status.Problems) == 0 {
		return m.problems(m.height)
	}
	var lines []line
	for _, p := range m.allProblems() {
		lines = append(lines, m.problem(p)...)
		if p.Docs != "" {
			// A link is broken only where it has to be.
			for part := range strings.SplitSeq(ansi.Hardwrap(m.clean(p.Docs), m.width, true), "\n") {
				lines = append(lines, plainLine(part))
			}
		}
		lines = append(lines, nil)
	}
	return lines[:len(lines)-1]
}

// help explains the keys, the colours and the words for losses.
func (m model) help() []line {
	lines := []line{{{"KEYS", bold}}}
	entry := func(name, colour, text string) {
		width := len("refused for a long chain  ")
		if m.width < 60 { // below the name
			lines = append(lines, line{{name, colour}})
			name, width = "", 2
		}
		for _, part := range m.wrap(text, m.width-width) {
			lines = append(lines, line{{m.pad(name, width), colour}, {part, plain}})
			name = ""
		}
	}
	for _, key := range keys {
		entry(key[0], plain, key[1])
	}
	lines = append(lines, nil, line{{"COLOURS", bold}})
	for _, s := range []struct {
		severity status.Severity
		text     string
	}{
		{status.Critical, "something is lost, or a value is not kept; tables from 95 % on"},
		{status.Warning, "it may become critical, or does not work as configured; tables from 80 % on"},
		{status.Notice, "not wrong, such as a setting that this kernel does not have"},
		{status.Good, "as wanted"},
	} {
		entry(string(s.severity), sgr.Of(s.severity), s.text)
	}
	lines = append(lines, nil, line{{"LOSSES", bold}})
	for _, c := range status.Counters() {
		if c.IsLoss {
			entry(c.Word, plain, fmt.Sprintf("%s (the kernel's %s)", c.Meaning, c.Name))
		}
	}
	return lines
}

func listSpans() string {
	var texts []string
	for _, s := range spans {
		texts = append(texts, spanText(s))
	}
	return strings.Join(texts, ", ")
}

// spanText renders a duration in its largest unit, rounded down: "45 s", "19 min", "3 h", "2 d".
func spanText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
