package term

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sync/errgroup"
)

// frames is how often a second a change may be drawn: scrolling is smooth to the
// eye, and a slow line is not flooded.
const frames = 20

// Options say where to draw, and how.
type Options struct {
	// In gives the keys: a terminal, or nil for the controlling one.
	In  io.Reader
	Out io.Writer
	// Colour says that Out takes colours.
	Colour bool
	// ASCII draws without any other character; see UTF8.
	ASCII bool
}

// UTF8 reports whether the locale that an environment asks for is one of UTF-8:
// the first of LC_ALL, LC_CTYPE and LANG that is not empty says so (locale(7)).
func UTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := getenv(name); locale != "" {
			_, codeset, _ := strings.Cut(locale, ".")
			codeset, _, _ = strings.Cut(strings.ToLower(codeset), "@")
			return codeset == "utf-8" || codeset == "utf8"
		}
	}
	return false
}

// Run draws on the terminal's alternate screen until q, Esc or ^C, SIGHUP or the
// end of ctx, and leaves the terminal as it was. The error says that the terminal
// cannot be used.
func Run(ctx context.Context, source Source, opts Options) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	ctx, quit := context.WithCancel(ctx)
	defer quit()

	how := []tea.ProgramOption{tea.WithOutput(opts.Out), tea.WithoutSignalHandler(), tea.WithFPS(frames)}
	if opts.In != nil {
		how = append(how, tea.WithInput(opts.In))
	}
	program := tea.NewProgram(model{look: look{colour: opts.Colour, ascii: opts.ASCII}}, how...)
	f := feed{source: source, send: program.Send}
	var tasks errgroup.Group
	tasks.Go(func() error {
		defer quit()
		if _, err := program.Run(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("cannot draw the status: %w", err)
		}
		return nil
	})
	tasks.Go(func() error { <-ctx.Done(); program.Quit(); return nil })
	tasks.Go(func() error { f.watch(ctx); return nil })
	tasks.Go(func() error { f.listen(ctx); return nil })
	return tasks.Wait()
}
