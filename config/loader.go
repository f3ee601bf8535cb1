package config

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// LoadTimeout is how long a load may take before it is given up.
const LoadTimeout = 10 * time.Second

// ErrHangs is the error of a load that was given up, because a file did not answer.
var ErrHangs = errors.New("no answer within " + LoadTimeout.String())

// Loader loads the configuration of a Source, and waits for no file longer than LoadTimeout. A read
// can hang for as long as an NFS server is down or a FUSE process does not answer, and nothing
// interrupts it. It may be used by one goroutine at a time.
type Loader struct {
	load    func() (*Config, error)
	reading atomic.Pointer[string] // the file or directory that is read now
	timeout time.Duration
	// hanging receives the result of the load that was given up; nil without one. Meanwhile no other is
	// begun: each would hang, too, and take a thread.
	hanging chan result
}

type result struct {
	config *Config
	err    error
}

// NewLoader returns a Loader for a Source.
func NewLoader(src Source) *Loader {
	l := &Loader{timeout: LoadTimeout}
	src.reading = func(path string) { l.reading.Store(&path) }
	l.load = src.Load
	return l
}

// Load is Source.Load with a limit of time. It returns Errors with ErrHangs after LoadTimeout, and
// ctx's error when that ends.
func (l *Loader) Load(ctx context.Context) (*Config, error) {
	if l.hanging != nil { // what it returns is out of date
		if _, err := l.wait(ctx, l.hanging); err != nil {
			return nil, err
		}
		l.hanging = nil
	}
	done := make(chan result, 1)
	new(errgroup.Group).Go(func() error {
		config, err := l.load()
		done <- result{config, err}
		return nil
	})
	got, err := l.wait(ctx, done)
	if err != nil {
		l.hanging = done
		return nil, err
	}
	return got.config, got.err
}

func (l *Loader) wait(ctx context.Context, done <-chan result) (result, error) {
	timer := time.NewTimer(l.timeout)
	defer timer.Stop()
	select {
	case got := <-done:
		return got, nil
	case <-ctx.Done():
		return result{}, ctx.Err()
	case <-timer.C:
		wrong := fault{problem: "cannot read: " + ErrHangs.Error(), err: ErrHangs}
		return result{}, Errors{wrong.at(position{open: *l.reading.Load()}, "")}
	}
}
