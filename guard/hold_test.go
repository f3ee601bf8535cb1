package guard

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestHold: a foreign write of another value succeeds and changes nothing, in every form that a number may have.
func TestHold(t *testing.T) {
	now, n := readMax(t)
	cgroup, g := guardInCgroup(t)
	s := runGuard(t, g)
	setWants(t, g, Hold, wantOf(t, "max", now))
	values := []string{
		strconv.Itoa(n + 1), "1\n", "-1", "0", fmt.Sprintf("%#x", n+1), "4294967295", "x" + now,
		strings.Repeat(" ", textSize) + "7",
	}
	for i, value := range values {
		pid, err := writeIn(t, cgroup, maxFile, value)
		if err != nil {
			t.Errorf("%q: %v", value, err)
		}
		if live := readFile(t, maxFile); live != now {
			t.Errorf("%q: max is %s, was %s", value, live, now)
		}
		eventually(t, "the report", func() bool { _, _, blocked := s.counts(); return blocked == i+1 })
		if last := s.last(); !last.Absorbed || last.Setting.Name != "max" || !isNamed(g, last.By, pid) {
			t.Errorf("%q by %d: %+v", value, pid, last)
		}
	}
	if _, err := writeIn(t, cgroup, maxFile, now); err != nil {
		t.Errorf("the wanted value: %v", err)
	}
	eventually(t, "a wake for each write", func() bool { wakes, _, _ := s.counts(); return wakes > len(values) })
	if _, _, blocked := s.counts(); blocked != len(values) {
		t.Errorf("%d reports for %d absorbed writes", blocked, len(values))
	}
}
