package pattern

import (
	"sync"
	"testing"
)

func TestPattern(t *testing.T) {
	p := New(`^(a+)b`)
	if p.compiled != nil {
		t.Error("compiled before its first use")
	}
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			if m := p.FindStringSubmatch("aab"); len(m) != 2 || m[1] != "aa" || p.MatchString("b") {
				t.Errorf("found %q", m)
			}
		})
	}
	users.Wait()
	defer func() {
		if recover() == nil {
			t.Error("a text that is no pattern was used")
		}
	}()
	New("(").MatchString("")
}
