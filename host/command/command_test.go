package command

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var limits = Limits{Timeout: 10 * time.Second, Output: 1000}

func TestOutput(t *testing.T) {
	out, err := Output(t.Context(), limits, "sh", "-c", "echo $LC_ALL; echo aside >&2")
	if string(out) != "C\n" || err != nil {
		t.Errorf("output %q, %v", out, err)
	}
}

func TestOutputHasLimits(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   error
	}{
		"too long":   {"yes", ErrOutput},
		"too slow":   {"exec sleep 60", context.DeadlineExceeded},
		"no program": {"", exec.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			program := "sh"
			if test.script == "" {
				program = "ctkeeper-no-such-program"
			}
			limits := Limits{Timeout: 500 * time.Millisecond, Output: 1000}
			out, err := Output(t.Context(), limits, program, "-c", test.script)
			if !errors.Is(err, test.want) || out != nil {
				t.Errorf("output of %d bytes, %v; want none, %v", len(out), err, test.want)
			}
		})
	}
}

func TestErrorHasStandardError(t *testing.T) {
	_, err := Output(t.Context(), limits, "sh", "-c", "yes broken | head -c 5000 >&2; exit 3")
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 3 || !strings.HasPrefix(err.Error(), "exit status 3: broken") ||
		len(err.Error()) > maxMessage+100 {
		t.Errorf("error %.200v", err)
	}
}

func TestCombined(t *testing.T) {
	out, err := Combined(t.Context(), limits, "sh", "-c", "echo a; echo b >&2; exit 1")
	if string(out) != "a\nb\n" || err == nil {
		t.Errorf("output %q, %v", out, err)
	}
	out, err = Combined(t.Context(), limits, "sh", "-c", "yes | head -c 5000")
	if len(out) != limits.Output || err != nil {
		t.Errorf("%d bytes, %v; want the first %d", len(out), err, limits.Output)
	}
}
