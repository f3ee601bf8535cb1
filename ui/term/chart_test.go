package term

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/table"
)

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
		{1<<40 - 1, 1 << 40, 10, "#########."},
		{1 << 62, 1, 10, "##########"},
		{1, 2, 1, "."},
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
	figures := []float64{0, -1, 0.1, 50, 99, 100, 101}
	if got, want := (style{}).sparks(figures, 100), "▁ ▂▅▇██"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (style{ascii: true}).sparks(figures, 100), "_ .=*##"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (style{ascii: true}).sparks([]float64{0, 5}, 0), "__"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLosses holds that losses are in the order of their counters, which name the charts.
func TestLosses(t *testing.T) {
	for kind, counter := range lossCounters() {
		p := table.Point{Losses: table.LossesOf(map[string]uint64{counter.Name: 7})}
		var want [kinds]int64
		want[kind] = 7
		if got := losses(p); got != want {
			t.Errorf("%s: %v, want %v", counter.Name, got, want)
		}
	}
}

func TestRoundScale(t *testing.T) {
	for peak, want := range map[int64]int64{
		0: 10, 5: 10, 6: 20, 17: 50, 25: 50, 26: 100, 1234: 5000, 1 << 40: 5e12, 1<<63 - 1: 1<<63 - 1,
	} {
		if got := roundScale(peak); got != want {
			t.Errorf("%d: 0 to %d, want %d", peak, got, want)
		}
	}
}

// TestCells has the points of a daemon, then those of the view, in columns of 15 seconds: no point is lost or counted
// twice, and a pause in the points is not drawn.
func TestCells(t *testing.T) {
	var history historyMsg
	for i := -300; i <= 0; i += 15 { // the last one is as old as the first status
		if i < -200 || i > -100 {
			p := table.Point{At: after(i).Unix(), Entries: int64(300 + i), Max: 1000}
			p.Dropped = 15
			history = append(history, p)
		}
	}
	msgs := []tea.Msg{statusMsg{at: after(0), status: quiet()}, history}
	for i := range 30 {
		s := quiet()
		s.Table.Entries, s.Table.Counters = n(int64(1000-i)), map[string]uint64{"drop": 5 + uint64(i)}
		msgs = append(msgs, statusMsg{at: after(i), status: s})
	}
	m := modelAfter(style{}, 80, 24, msgs...)
	var got []string
	for _, c := range m.cells(5*time.Minute, 20) {
		text := "-"
		if c.isKnown {
			text = fmt.Sprintf("%d/%.2f", c.entries, c.rates[0])
		}
		got = append(got, text)
	}
	// The last point of the daemon is at -15, so the 4 drops of the first slot belong to 19 seconds.
	want := strings.Fields("60/1.00 75/1.00 90/0.00 90/0.00 - - - - - - 210/1.00 225/1.00 240/1.00 255/1.00 270/1.00 " +
		"285/0.21 1234/0.79 990/1.00")
	if diff := cmp.Diff(want, got[2:]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
