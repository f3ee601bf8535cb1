package slice

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The threads of now and those that are started later have the short slice. Kernels before 6.12 have none.
func TestShortSliceIsInherited(t *testing.T) {
	if err := Shorten(0); err != nil {
		t.Fatal(err)
	}
	here, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if here.Runtime != 0 && here.Runtime != uint64(short) {
		t.Errorf("the slice of a thread is %d ns, want %d", here.Runtime, short.Nanoseconds())
	}
	// A thread that is locked and ends with its goroutine is not used again: the next one is new.
	for range 20 {
		got := make(chan *unix.SchedAttr)
		go func() {
			runtime.LockOSThread()
			attr, _ := unix.SchedGetAttr(0, 0)
			got <- attr
		}()
		if attr := <-got; attr == nil || attr.Runtime != here.Runtime {
			t.Fatalf("a later thread has %+v, want the slice %d", attr, here.Runtime)
		}
	}
}
