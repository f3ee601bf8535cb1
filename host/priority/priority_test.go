package priority

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/capability"
)

// The threads of now and those that are started later have the same priority. Kernels before 6.12 have no slice.
func TestPriorityIsInherited(t *testing.T) {
	if err := Raise(0); err != nil {
		t.Fatal(err)
	}
	here, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if here.Runtime != 0 && here.Runtime != uint64(slice) {
		t.Errorf("the slice of a thread is %d ns, want %d", here.Runtime, slice.Nanoseconds())
	}
	if may := capability.Held(unix.CAP_SYS_NICE); may && here.Nice != nice {
		t.Errorf("the nice value of a thread is %d, want %d", here.Nice, nice)
	}
	// A thread that is locked and ends with its goroutine is not used again: the next one is new.
	for range 20 {
		got := make(chan *unix.SchedAttr)
		go func() {
			runtime.LockOSThread()
			attr, _ := unix.SchedGetAttr(0, 0)
			got <- attr
		}()
		if attr := <-got; attr == nil || attr.Runtime != here.Runtime || attr.Nice != here.Nice {
			t.Fatalf("a later thread has %+v, want %+v", attr, here)
		}
	}
}
