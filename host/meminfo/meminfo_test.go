package meminfo_test

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

func TestTotal(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal:        4194304 kB\n": 4 << 30, "MemFree: 1 kB\nMemTotal: 1 kB": 1024,
		"": 0, "MemTotal:\n": 0, "MemTotal: -5 kB\n": 0, "MemTotal: lots kB\n": 0,
		"MemTotal: 99999999999999999999 kB\n": 0,
	} {
		root := t.TempDir()
		if err := tree.At(root).Replace(meminfo.File, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := meminfo.Total(tree.At(root))
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestAvailable(t *testing.T) {
	root := t.TempDir()
	text := "MemTotal: 4 kB\nMemFree: 1 kB\nMemAvailable:    2 kB\n"
	if err := tree.At(root).Replace(meminfo.File, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := meminfo.Available(tree.At(root)); got != 2048 || err != nil {
		t.Errorf("%d, %v; want 2048", got, err)
	}
}
