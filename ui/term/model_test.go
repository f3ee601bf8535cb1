package term

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func press(code rune, mod tea.KeyMod) tea.KeyPressMsg { return tea.KeyPressMsg{Code: code, Mod: mod} }

// typed returns the keys of a text.
func typed(text string) []tea.Msg {
	var keys []tea.Msg
	for _, r := range text {
		keys = append(keys, tea.KeyPressMsg{Text: string(r), Code: r})
	}
	return keys
}

func TestKeys(t *testing.T) {
	down, end := press(tea.KeyDown, 0), press(tea.KeyEnd, 0)
	page := modelAfter(style{}, 80, 24, firstStatus(many(60))).plan().settings
	tests := []struct {
		name     string
		keys     []tea.Msg
		selected int
		quit     bool
	}{
		{"q", typed("q"), 0, true},
		{"Esc", []tea.Msg{press(tea.KeyEscape, 0)}, 0, false},
		{"^C", []tea.Msg{press('c', tea.ModCtrl)}, 0, true},
		{"^C in the help", append(typed("?"), press('c', tea.ModCtrl)), 0, true},
		{"^C in the filter", append(typed("/"), press('c', tea.ModCtrl)), 0, true},
		{"q in the help", typed("?q"), 0, false},
		{"q in the filter", typed("/q"), 0, false},
		{"q after the help", typed("?qq"), 0, true},
		{"another", typed("x"), 0, false},
		{"down", append(typed("j"), down), 2, false},
		{"up", append(typed("jj"), press(tea.KeyUp, 0)), 1, false},
		{"up at the top", typed("k"), 0, false},
		{"page down", []tea.Msg{press(tea.KeyPgDown, 0), press(tea.KeySpace, 0)}, 2 * page, false},
		{"page up", []tea.Msg{end, press(tea.KeyPgUp, 0)}, 59 - page, false},
		{"end", typed("G"), 59, false},
		{"down at the end", []tea.Msg{end, down}, 59, false},
		{"home", []tea.Msg{end, press(tea.KeyHome, 0)}, 0, false},
		{"moving in the help moves there", append(typed("?"), down, press(tea.KeyEscape, 0)), 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var m tea.Model = modelAfter(style{}, 80, 24, firstStatus(many(60)))
			var cmd tea.Cmd
			for _, key := range test.keys {
				m, cmd = m.Update(key)
			}
			if got := m.(model).selected(m.(model).rows()); got != test.selected {
				t.Errorf("setting %d is selected, want %d", got, test.selected)
			}
			if quit := cmd != nil && cmd() == tea.Quit(); quit != test.quit {
				t.Errorf("quits: %t, want %t", quit, test.quit)
			}
		})
	}
}

// A selected setting stays on the screen and selected, whatever happens to the others and to the screen.
func TestSelection(t *testing.T) {
	msgs := append([]tea.Msg{firstStatus(many(60))}, typed("jjj")...)
	selected := modelAfter(style{}, 80, 24, msgs...).cursor
	worse := many(60)
	worse.Settings[40].State = reconcile.Contested
	for name, msg := range map[string]tea.Msg{
		"a small screen":   tea.WindowSizeMsg{Width: 80, Height: 12},
		"a large screen":   tea.WindowSizeMsg{Width: 80, Height: 100},
		"another is worse": firstStatus(worse),
	} {
		m := modelAfter(style{}, 80, 24, append(msgs, msg)...)
		if m.cursor != selected || !strings.Contains(m.View().Content, "> "+selected) {
			t.Errorf("%s: %s is selected, want %s on\n%s", name, m.cursor, selected, m.View().Content)
		}
	}
	m := modelAfter(style{}, 80, 24, append(append(msgs, typed("G")...), firstStatus(many(2)))...)
	if !strings.Contains(m.View().Content, "> net.netfilter.nf_setting_01") {
		t.Errorf("the list got shorter than the selected index: nothing is selected on\n%s", m.View().Content)
	}
}

// Each word of a long error can be read on a small screen: the details scroll.
func TestLongError(t *testing.T) {
	s := quiet()
	s.Settings[3].State, s.Settings[3].Error = reconcile.Forbidden, ""
	for i := range 60 {
		s.Settings[3].Error += fmt.Sprintf("word%02d ", i)
	}
	for _, size := range [][2]int{{80, 24}, {40, 10}} {
		var m tea.Model = modelAfter(style{}, size[0], size[1], firstStatus(s))
		seen := ""
		for range 60 {
			_, list, _ := strings.Cut(m.View().Content, "tcp_timeout_es") // not what the problems say
			seen += list
			m, _ = m.Update(press(tea.KeyDown, 0))
		}
		for i := range 60 {
			if !strings.Contains(seen, fmt.Sprintf("word%02d", i)) {
				t.Errorf("%v: word %d is never on the screen", size, i)
			}
		}
	}
}

// A text that covers the screen, at its end, fills the screen after that has grown.
func TestHelpAfterResize(t *testing.T) {
	keys := typed("?G")
	want := modelAfter(style{}, 80, 24, append([]tea.Msg{firstStatus(quiet())}, keys...)...)
	m := modelAfter(style{}, 20, 5, append([]tea.Msg{firstStatus(quiet())},
		append(keys, tea.WindowSizeMsg{Width: 80, Height: 24})...)...)
	if diff := cmp.Diff(want.View().Content, m.View().Content); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A pause holds the screen, and loses nothing.
func TestPause(t *testing.T) {
	full := quiet()
	full.Table.Entries = full.Table.Max
	during := []tea.Msg{statusMsg{at: after(9), status: full}, drift(8, "max", "1", "2"), historyMsg{{At: 1, Max: 5}}}
	paused := append(append([]tea.Msg{firstStatus(quiet())}, typed("p")...), during...)
	m := modelAfter(style{}, 80, 24, paused...)
	screen := m.View().Content
	if !strings.Contains(screen, "PAUSED since 10:00:05") || !strings.Contains(screen, "1234 of 1048576") ||
		len(m.events) != 0 {
		t.Errorf("paused:\n%s", screen)
	}
	m = modelAfter(style{}, 80, 24, append(paused, typed("p")...)...)
	want := modelAfter(style{}, 80, 24, append([]tea.Msg{firstStatus(quiet())}, during...)...)
	if diff := cmp.Diff(want.View().Content, m.View().Content); diff != "" {
		t.Errorf("after the pause (-want +got):\n%s", diff)
	}
}

// The kinds are those that there are.
func TestKinds(t *testing.T) {
	_, fight := contest()
	var kinds []reconcile.Kind
	for i := range 4 {
		keys := typed(strings.Repeat("e", i))
		kinds = append(kinds, modelAfter(style{}, 80, 24, append(append(fight, firstStatus(quiet())), keys...)...).kind)
	}
	if diff := cmp.Diff([]reconcile.Kind{"", reconcile.KindDrift, reconcile.KindContested, ""}, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The numbers of points and events in memory are bounded.
func TestBounds(t *testing.T) {
	var d data
	last := maxPoints + 9
	for i := range last + 1 {
		d = d.withStatus(statusMsg{at: after(5 * i), status: quiet()})
	}
	if len(d.points) != maxPoints || d.points[maxPoints-1].At != after(5*last).Unix() {
		t.Errorf("%d points, the last at %d", len(d.points), d.points[len(d.points)-1].At)
	}
	m := model{next: d}
	for i := range maxEvents + 9 {
		next, _ := m.Update(drift(i, "max", "1", "2"))
		m = next.(model)
	}
	if len(m.events) != maxEvents || !m.events[maxEvents-1].At.Equal(after(maxEvents+8)) {
		t.Errorf("%d events", len(m.events))
	}
}

func TestUTF8(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"nothing", nil, false},
		{"C", map[string]string{"LANG": "C"}, false},
		{"C.UTF-8", map[string]string{"LANG": "C.UTF-8"}, true},
		{"en_US.utf8", map[string]string{"LC_CTYPE": "en_US.utf8"}, true},
		{"modifier", map[string]string{"LANG": "ca_ES.UTF-8@valencia"}, true},
		{"Latin 9", map[string]string{"LANG": "de_DE.ISO-8859-15@euro"}, false},
		{"LC_ALL first", map[string]string{"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, false},
		{"an empty LC_ALL", map[string]string{"LC_ALL": "", "LC_CTYPE": "C", "LANG": "en_US.UTF-8"}, false},
		{"no codeset", map[string]string{"LANG": "en_US"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := UTF8(func(name string) string { return test.env[name] }); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestClean(t *testing.T) {
	tests := []struct{ text, want, ascii string }{
		{"plain text", "plain text", "plain text"},
		{"1\t2\n3", `1 2\n3`, `1 2\n3`},
		{"\x1b[31mred\x07", `\x1b[31mred\a`, `\x1b[31mred\a`},
		{"a\u202eb\u2028", `a\u202eb\u2028`, `a\u202eb\u2028`},
		{"\xff\x80", `\xff\x80`, `\xff\x80`},
		{"12.3µs 接続", "12.3µs 接続", "12.3us ??"},
		{`it's "so"`, `it's "so"`, `it's "so"`},
	}
	for _, test := range tests {
		if got := (style{}).clean(test.text); got != test.want {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
		if got := (style{ascii: true}).clean(test.text); got != test.ascii {
			t.Errorf("%q in ASCII: %q, want %q", test.text, got, test.ascii)
		}
	}
}

func FuzzFit(f *testing.F) {
	f.Add(evil, 10)
	f.Add("接続追跡", 3)
	f.Add("\xff\xfe\xf0\x9f", 2)
	f.Add("e\u0301\u0301\u200d\u2028", 1)
	f.Fuzz(func(t *testing.T, text string, width int) {
		width = min(max(width, 0), 200)
		for _, st := range []style{{}, {ascii: true}} {
			got := st.fit(text, width)
			if w := ansi.StringWidth(got); w > width {
				t.Errorf("%d columns of %d: %q", w, width, got)
			}
			for _, r := range got {
				if !unicode.IsPrint(r) || st.ascii && r > '~' {
					t.Errorf("%q in %q", r, got)
				}
			}
			if w := ansi.StringWidth(st.pad(text, width)); w != width {
				t.Errorf("padded to %d columns of %d: %q", w, width, got)
			}
		}
	})
}

// script is a source with prepared answers.
type script struct {
	statuses func(i int) (status.Document, error)
	events   func(ctx context.Context, i int, each func(reconcile.Event) error) error
	reads    int
	follows  int
	asked    int
}

func (s *script) Status(context.Context) (status.Document, error) {
	s.reads++
	return s.statuses(s.reads)
}

// Points fails once.
func (s *script) Points(context.Context) ([]table.Point, error) {
	if s.asked++; s.asked == 1 {
		return nil, errors.New("cannot read")
	}
	return []table.Point{{At: 1}}, nil
}

func (s *script) Events(ctx context.Context, each func(reconcile.Event) error) error {
	s.follows++
	return s.events(ctx, s.follows, each)
}

// The feed reads the status every second with a daemon and every two without, the points once, and follows the events
// again when they end.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		source := &script{
			statuses: func(i int) (status.Document, error) {
				switch i {
				case 1, 2, 5:
					return status.Document{Daemon: status.Daemon{Running: true}}, nil
				case 3:
					return status.Document{}, nil
				case 4:
					return status.Document{}, errors.New("cannot read")
				}
				cancel()
				return status.Document{}, ctx.Err()
			},
			events: func(ctx context.Context, i int, each func(reconcile.Event) error) error {
				if i == 2 {
					return errors.New("no daemon")
				}
				return each(reconcile.Event{Setting: "max"})
			},
		}
		var reads, events, histories []time.Duration
		f := feed{source: source, send: func(msg tea.Msg) {
			switch msg := msg.(type) {
			case statusMsg:
				reads = append(reads, msg.at.Sub(began))
			case historyMsg:
				histories = append(histories, time.Since(began))
			case eventMsg:
				events = append(events, time.Since(began))
			}
		}}
		f.pollStatus(ctx)
		want := []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 6 * time.Second, 7 * time.Second}
		if diff := cmp.Diff(want, reads); diff != "" {
			t.Errorf("reads (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]time.Duration{time.Second}, histories); diff != "" {
			t.Errorf("histories (-want +got):\n%s", diff)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began = time.Now()
		f.followEvents(ctx)
		if diff := cmp.Diff([]time.Duration{0, 4 * time.Second}, events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
