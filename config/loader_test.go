package config

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"time"
)

// TestLoaderGivesUp loads a configuration of which one file hangs.
func TestLoaderGivesUp(t *testing.T) {
	root := host(t, map[string]string{DefaultMain: "settings: {max: 1}", etcDir + "a.yaml": "settings: {max: 2}"})
	l := NewLoader(Source{Root: root})
	load, answer, loads := l.load, make(chan struct{}), 0
	l.load = func() (*Config, error) {
		loads++
		path := root + etcDir + "a.yaml"
		l.reading.Store(&path)
		<-answer
		return load()
	}
	l.timeout = 10 * time.Millisecond
	for range 3 {
		_, err := l.Load(t.Context())
		if !errors.Is(err, ErrHangs) {
			t.Fatalf("while the file hangs: %v, want %v", err, ErrHangs)
		}
		diff(t, "error", root+etcDir+"a.yaml: cannot read: no answer within 10s", err.Error())
	}
	if loads != 1 {
		t.Errorf("%d loads hang, want 1", loads)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.timeout = time.Hour
	if _, err := l.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	close(answer)
	put(t, root, DefaultMain, "settings: {acct: 1}")
	c, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "wants", []string{"max 2 " + etcDir + "a.yaml:1", "acct 1 " + DefaultMain + ":1"}, wants(c))
}

// A configuration that cannot be read now may be valid: another start, or load, may read it. One with errors in it
// stays refused.
func TestMayPass(t *testing.T) {
	cannotRead := func(errno syscall.Errno) error {
		return Errors{{Problem: "unknown key"}, {Err: &fs.PathError{Op: "open", Path: DefaultMain, Err: errno}}}
	}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {Errors{{Problem: "unknown key"}}, false}, {Errors{{Err: ErrHangs}}, true},
		{cannotRead(syscall.EACCES), false}, {cannotRead(syscall.ELOOP), false}, {cannotRead(syscall.ENOENT), false},
		{cannotRead(syscall.EMFILE), true}, {cannotRead(syscall.ENFILE), true}, {cannotRead(syscall.ENOMEM), true},
		{cannotRead(syscall.EIO), true}, {cannotRead(syscall.ESTALE), true}, {cannotRead(syscall.ENOTCONN), true},
	} {
		if got := MayPass(test.err); got != test.want {
			t.Errorf("%v: %t, want %t", test.err, got, test.want)
		}
	}
}

// TestLoaderNamesTheFile looks at what the Loader knows of a load's progress.
func TestLoaderNamesTheFile(t *testing.T) {
	root := host(t, map[string]string{etcDir + "a.yaml": "settings: {max: 2}"})
	l := NewLoader(Source{Root: root, Main: etcDir + "a.yaml"})
	if _, err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	diff(t, "the last file", root+etcDir+"a.yaml", *l.reading.Load())
}
