package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// result is what a command line came to.
type result struct {
	status         int
	stdout, stderr string
}

// ctkeeper runs one command line.
func ctkeeper(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := execute(ctx, args, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// wants fails the test where a result is not as wanted: a status, and texts that
// each output holds. No text for an output means that it is empty.
func (r result) wants(t *testing.T, status int, stdout, stderr []string) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d", r.status, status)
	}
	for _, output := range []struct {
		name, got string
		want      []string
	}{{"standard output", r.stdout, stdout}, {"standard error", r.stderr, stderr}} {
		if len(output.want) == 0 && output.got != "" {
			t.Errorf("%s is not empty:\n%s", output.name, output.got)
		}
		for _, want := range output.want {
			if !strings.Contains(output.got, want) {
				t.Errorf("%s does not hold %q:\n%s", output.name, want, output.got)
			}
		}
	}
}

// host makes a tree with a configuration, and gives its root.
func host(t *testing.T, yaml string) string {
	t.Helper()
	root := kerneltree.New(t)
	if yaml != "" {
		kerneltree.Put(t, root, config.DefaultMain, yaml)
	}
	return root
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
