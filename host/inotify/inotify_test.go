package inotify

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	q, err := New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	watch, err := q.Add(dir, unix.IN_CREATE|unix.IN_DELETE_SELF)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "name"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	got, err := q.Read(time.Time{})
	want := []Event{{watch, unix.IN_CREATE, "name"}, {watch, unix.IN_DELETE_SELF, ""}, {watch, unix.IN_IGNORED, ""}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if got, err = q.Read(time.Now()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("at the deadline: %v, %v", got, err)
	}
	if _, err = q.Add(dir, unix.IN_CREATE); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if got, err = q.Read(time.Time{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v, %v", got, err)
	}
	if _, err = q.Add("/", unix.IN_CREATE); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
}
