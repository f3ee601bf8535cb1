package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// maxMessage limits how much of standard error is put in an error, in bytes.
	maxMessage = 1 << 10
	// waitDelay is how long a child of the program may hold its output open after its end.
	waitDelay = time.Second
)

// ErrOutput is the error of a program that prints more than its limit.
var ErrOutput = errors.New("too much output")

// Limits limit one run of a program.
type Limits struct {
	Timeout time.Duration
	// Output limits what the program prints, in bytes.
	Output int
}

// Output returns the standard output of a program. The error is ErrOutput for more than the limit, and
// holds what the program printed to standard error.
func Output(ctx context.Context, limits Limits, program string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	err := Stream(ctx, limits, &out, program, args...)
	if err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Stream is Output for output that is too long to be held: it writes it to w.
func Stream(ctx context.Context, limits Limits, w io.Writer, program string, args ...string) error {
	out := &limited{w: w, room: limits.Output, strict: true}
	var message bytes.Buffer
	err := run(ctx, limits, out, &limited{w: &message, room: maxMessage}, program, args)
	if err != nil && out.over {
		err = fmt.Errorf("%w: more than %d bytes", ErrOutput, limits.Output)
	}
	if text := strings.TrimSpace(message.String()); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// Combined returns the standard output and the standard error of a program in one, cut at the limit, also
// if there is an error.
func Combined(ctx context.Context, limits Limits, program string, args ...string) ([]byte, error) {
	var out bytes.Buffer
	both := &limited{w: &out, room: limits.Output}
	err := run(ctx, limits, both, both, program, args)
	return out.Bytes(), err
}

// run runs a program. Its error holds the context's if that ended the program.
func run(ctx context.Context, limits Limits, stdout, stderr io.Writer, program string, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, limits.Timeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	command.Stdout, command.Stderr = stdout, stderr
	command.WaitDelay = waitDelay
	err := command.Run()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// limited writes no more than room bytes. It discards the rest or, if strict, fails.
type limited struct {
	w      io.Writer
	room   int
	strict bool
	over   bool
}

func (l *limited) Write(p []byte) (int, error) {
	fits := p[:min(len(p), l.room)]
	if len(fits) < len(p) {
		l.over = true
		if l.strict {
			return 0, ErrOutput
		}
	}
	l.room -= len(fits)
	if n, err := l.w.Write(fits); err != nil {
		return n, err
	}
	return len(p), nil
}
