package term

import (
	"context"
	"errors"
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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeys(t *testing.T) {
	press := func(code rune, mod tea.KeyMod) tea.KeyPressMsg {
		return tea.KeyPressMsg{Code: code, Mod: mod}
	}
	text := func(s string) tea.KeyPressMsg { return tea.KeyPressMsg{Text: s, Code: []rune(s)[0]} }
	tests := []struct {
		name string
		keys []tea.KeyPressMsg
		top  int
		quit bool
	}{
		{"q", []tea.KeyPressMsg{text("q")}, 0, true},
		{"Esc", []tea.KeyPressMsg{press(tea.KeyEscape, 0)}, 0, true},
		{"^C", []tea.KeyPressMsg{press('c', tea.ModCtrl)}, 0, true},
		{"another", []tea.KeyPressMsg{text("x")}, 0, false},
		{"down", []tea.KeyPressMsg{press(tea.KeyDown, 0), text("j")}, 2, false},
		{"up", []tea.KeyPressMsg{press(tea.KeyDown, 0), press(tea.KeyDown, 0), press(tea.KeyUp, 0)}, 1, false},
		{"up at the top", []tea.KeyPressMsg{text("k")}, 0, false},
		{"page down", []tea.KeyPressMsg{press(tea.KeyPgDown, 0), press(tea.KeySpace, 0)}, 16, false},
		{"page up", []tea.KeyPressMsg{press(tea.KeyEnd, 0), press(tea.KeyPgUp, 0)}, 44, false},
		{"end", []tea.KeyPressMsg{text("G")}, 52, false},
		{"down at the end", []tea.KeyPressMsg{press(tea.KeyEnd, 0), press(tea.KeyDown, 0)}, 52, false},
		{"home", []tea.KeyPressMsg{press(tea.KeyEnd, 0), press(tea.KeyHome, 0)}, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var m tea.Model = modelAfter(style{}, 80, 24, firstStatus(many(60)))
			var cmd tea.Cmd
			for _, key := range test.keys {
				m, cmd = m.Update(key)
			}
			if got := m.(model).top; got != test.top {
				t.Errorf("the first setting is %d, want %d", got, test.top)
			}
			if quit := cmd != nil && cmd() == tea.Quit(); quit != test.quit {
				t.Errorf("quits: %t, want %t", quit, test.quit)
			}
		})
	}
}

// A list that got shorter is not scrolled past its end.
func TestShorterList(t *testing.T) {
	m := modelAfter(style{}, 80, 24, firstStatus(many(60)), tea.KeyPressMsg{Code: tea.KeyEnd}, firstStatus(many(10)))
	if m.top != 2 {
		t.Errorf("the first setting is %d, want 2", m.top)
	}
	m = modelAfter(style{}, 80, 24,
		firstStatus(many(60)),
		tea.KeyPressMsg{Code: tea.KeyEnd},
		tea.WindowSizeMsg{Width: 80, Height: 100},
	)
	if m.top != 0 {
		t.Errorf("on a large screen the first setting is %d", m.top)
	}
}

// The numbers of samples and events in memory are bounded.
func TestBounds(t *testing.T) {
	m := modelAfter(style{}, 80, 24)
	var next tea.Model = m
	for i := range 3 * maxPoints {
		next, _ = next.Update(statusMsg{at: after(i), status: quiet()})
		next, _ = next.Update(drift(i, "max", "1", "2"))
	}
	m = next.(model)
	if len(m.points) != maxPoints || len(m.events) != maxEvents {
		t.Errorf("%d points and %d events", len(m.points), len(m.events))
	}
	if !m.points[maxPoints-1].at.Equal(after(3*maxPoints-1)) || !m.events[maxEvents-1].At.Equal(after(3*maxPoints-1)) {
		t.Error("the newest is not the last")
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

func TestBar(t *testing.T) {
	tests := []struct {
		n, limit int64
		width    int
		want     string
	}{
		{0, 100, 10, ".........."},
		{1, 1 << 40, 10, "#........."},
		{50, 100, 10, "#####....."},
		{99, 100, 10, "#########."},
		{100, 100, 10, "##########"},
		{1 << 62, 1, 10, "##########"},
		{5, 0, 4, "...."},
		{-5, 10, 4, "...."},
		{5, 10, 0, ""},
		{5, 10, -1, ""},
	}
	for _, test := range tests {
		full, empty := style{ascii: true}.bar(test.n, test.limit, test.width)
		if full+empty != test.want {
			t.Errorf("%d of %d in %d: %q, want %q", test.n, test.limit, test.width, full+empty, test.want)
		}
	}
}

func TestSparks(t *testing.T) {
	figures := []*int64{n(0), nil, n(1), n(50), n(99), n(100), n(-3)}
	if got, want := (style{}).sparks(figures), "▁ ▂▅▇█▁"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (style{ascii: true}).sparks(figures), "_ .=*#_"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (style{ascii: true}).sparks([]*int64{n(0), n(0)}), "__"; got != want {
		t.Errorf("%q, want %q", got, want)
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
}

func (s *script) Status(context.Context) (status.Document, error) {
	s.reads++
	return s.statuses(s.reads)
}

func (s *script) Events(ctx context.Context, each func(reconcile.Event) error) error {
	s.follows++
	return s.events(ctx, s.follows, each)
}

// The feed reads the status every second with a daemon and every two without, and follows the events again when they
// end.
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
		var reads, events []time.Duration
		f := feed{source: source, send: func(msg tea.Msg) {
			switch msg := msg.(type) {
			case statusMsg:
				reads = append(reads, msg.at.Sub(began))
			case eventMsg:
				events = append(events, time.Since(began))
			}
		}}
		f.pollStatus(ctx)
		want := []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 6 * time.Second, 7 * time.Second}
		if diff := cmp.Diff(want, reads); diff != "" {
			t.Errorf("reads (-want +got):\n%s", diff)
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
