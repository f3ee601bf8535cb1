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

// maxFPS limits the redraws a second: scrolling looks smooth, and a slow line is not flooded.
const maxFPS = 20

// Options are the terminal and its abilities.
type Options struct {
	// In is the terminal that keys are read from; nil is the controlling one.
	In  io.Reader
	Out io.Writer
	// Host is the name of the host that is shown; empty where it is not known.
	Host string
	// Colour is true where Out has colours.
	Colour bool
	// ASCII draws with ASCII characters only; see UTF8.
	ASCII bool
}

// UTF8 reports whether the locale of an environment is a UTF-8 one: the first of LC_ALL, LC_CTYPE and LANG that is not
// empty decides (locale(7)).
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

// Run draws on the terminal's alternate screen until q, ^C, SIGHUP or the end of ctx, and then restores the
// terminal. It returns an error where the terminal cannot be used.
func Run(ctx context.Context, source Source, opts Options) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	ctx, quit := context.WithCancel(ctx)
	defer quit()

	options := []tea.ProgramOption{tea.WithOutput(opts.Out), tea.WithoutSignalHandler(), tea.WithFPS(maxFPS)}
	if opts.In != nil {
		options = append(options, tea.WithInput(opts.In))
	}
	program := tea.NewProgram(model{style: style{colour: opts.Colour, ascii: opts.ASCII}, host: opts.Host}, options...)
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
	tasks.Go(func() error { f.pollStatus(ctx); return nil })
	tasks.Go(func() error { f.followEvents(ctx); return nil })
	return tasks.Wait()
}
