package status

import (
	"testing"
	"time"
)

func TestForecastRounding(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1: "10 s", 44 * time.Second: "40 s", 94 * time.Second: "90 s", 95 * time.Second: "2 min",
		6*time.Minute + 10*time.Second: "6 min", time.Hour: "60 min",
		100 * time.Minute: "2 h", 25*time.Hour + time.Minute: "25 h",
	} {
		if got := roundTime(d); got != want {
			t.Errorf("%v: want %s, got %s", d, want, got)
		}
	}
}

func TestShare(t *testing.T) {
	for _, test := range []struct {
		entries, limit int64
		want           string
	}{
		{0, 1000, "0 %"}, {1, 1000, "<1 %"}, {9, 1000, "<1 %"},
		{10, 1000, "1 %"}, {799, 1000, "79 %"}, {949, 1000, "94 %"},
		{996, 1000, "99 %"}, {262143, 262144, "99 %"},
		{1000, 1000, "100 %"}, {1001, 1000, "100 %"}, {5, 0, ""}, {5, -1, ""},
	} {
		if got, ok := Share(test.entries, test.limit); got != test.want || ok != (test.want != "") {
			t.Errorf("%d of %d: %q, want %q", test.entries, test.limit, got, test.want)
		}
	}
}
