package alarm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/alarm"
)

func newAlarm(t *testing.T) *alarm.Alarm {
	t.Helper()
	a, err := alarm.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestRings(t *testing.T) {
	a := newAlarm(t)
	const d = 30 * time.Millisecond
	for _, set := range [][]time.Duration{{d}, {0}, {-1}, {time.Hour, d}, {0, d}} {
		begin := time.Now()
		for _, d := range set {
			a.Set(d)
		}
		if err := a.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(begin), set[len(set)-1]; took < want {
			t.Errorf("set to %v it rang after %s", set, took)
		}
	}
}

// An alarm that is set while a goroutine waits for it rings then.
func TestSetWhileWaiting(t *testing.T) {
	a := newAlarm(t)
	a.Set(time.Hour)
	rang := make(chan error)
	go func() { rang <- a.Wait(context.Background()) }()
	time.Sleep(10 * time.Millisecond)
	a.Set(0)
	if err := <-rang; err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	a := newAlarm(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := a.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want %v", err, context.Canceled)
	}
}
