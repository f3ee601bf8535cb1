package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ctkeeper/ctkeeper/daemon"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// eventFlags are the flags of events.
type eventFlags struct {
	since, by       string
	settings, kinds []string
	lines           uint
	allLines        bool
	follow          bool
}

func (a *app) events() *cobra.Command {
	var flags eventFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show the history: drifts, repairs, pressure on the table",
		Long: "Shows the daemon's history: drifts, repairs, module loads, reloads of the configuration, " +
			"pressure on the table. Without a daemon it reads the history file that the last one wrote. " +
			"An event is shown if every flag selects it. A repeated flag selects the events of each of its " +
			"arguments.",
		Example: "ctkeeper events --since today\n" +
			"ctkeeper events -n 20 --follow\n" +
			"ctkeeper events --setting max --kind drift --by kubelet.service\n" +
			"ctkeeper events --follow -o json  # for programs: one object a line",
		Annotations: exits{0: "shown", 1: "the history cannot be read, or --follow without a daemon"}.annotations(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A script forgot to set a variable, and does not mean all events.
			for name, argument := range map[string]string{"by": flags.by, "since": flags.since} {
				if flag := cmd.Flags().Lookup(name); flag.Changed && argument == "" {
					kind, _ := pflag.UnquoteUsage(flag)
					return invalidArgument(argument, name, []string{kind})
				}
			}
			flags.allLines = !cmd.Flags().Changed("lines")
			filter, err := flags.filter(time.Now())
			if err != nil {
				return err
			}
			return a.showEvents(cmd.Context(), filter, flags)
		},
	}
	cmd.Flags().BoolVarP(&flags.follow, "follow", "f", false, "wait for new events, until interrupted")
	cmd.Flags().UintVarP(&flags.lines, "lines", "n", 0, "only the last `NUMBER` events, before --follow")
	cmd.Flags().StringVar(&flags.since, "since", "", "only events after this `TIME`: "+timeForms)
	cmd.Flags().StringArrayVar(&flags.settings, "setting", nil, "only events of this `SETTING`; repeatable")
	cmd.Flags().StringArrayVar(&flags.kinds, "kind", nil, "only events of this `KIND`; repeatable: "+
		strings.Join(kindNames(), ", "))
	cmd.Flags().StringVar(&flags.by, "by", "", "only what this `WRITER` did, as the guard knows it: its unit, "+
		"command, process id, container or pod")
	for flag, values := range map[string][]string{"setting": sysfs.Names(), "kind": kindNames()} {
		// An error means an unknown flag.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

func kindNames() []string {
	var names []string
	for _, kind := range reconcile.Kinds() {
		names = append(names, string(kind))
	}
	return names
}

// filter returns the filter that the flags describe.
func (f eventFlags) filter(now time.Time) (filter status.EventFilter, err error) {
	if filter.Since, err = parseTime(f.since, now); err != nil {
		return filter, err
	}
	for _, name := range f.settings {
		setting := sysfs.Lookup(name)
		if setting == nil {
			return filter, fmt.Errorf("unknown setting %q%s", name,
				hint(strings.TrimPrefix(name, "nf_conntrack_"), sysfs.Names(), "see ctkeeper.yaml(5)"))
		}
		filter.Settings = append(filter.Settings, setting.Name)
	}
	for _, name := range f.kinds {
		if !slices.Contains(kindNames(), name) {
			return filter, invalidArgument(name, "kind", kindNames())
		}
		filter.Kinds = append(filter.Kinds, reconcile.Kind(name))
	}
	filter.By = f.by
	return filter, nil
}

// showEvents prints the history, and then follows it. Two requests do that: one answer does not show where the history
// ends and what is new begins. The second has the history again, because the times of events are not in order.
func (a *app) showEvents(ctx context.Context, filter status.EventFilter, flags eventFlags) error {
	client := status.NewClient(status.SocketPath(a.root))
	var history []reconcile.Event
	type key struct {
		at      int64
		message string
	}
	seen := map[key]bool{}
	err := client.Events(ctx, filter.Since, false, func(e reconcile.Event) error {
		history = append(history, e)
		seen[key{e.At.UnixNano(), e.Message}] = true
		return nil
	})
	notRunning := err != nil && status.IsNotRunning(err)
	if notRunning {
		history, err = a.readHistory(status.HistoryPath(a.root))
	}
	if err == nil {
		err = a.printEvents(history, filter, flags)
	}
	switch {
	case err != nil:
		return failure{exitNo, err}
	case !flags.follow:
		return nil
	case notRunning:
		return failure{exitNo, fmt.Errorf("no daemon is running, so that there is nothing to follow: nothing answers "+
			"on %s", status.SocketPath(a.root))}
	}
	err = client.Events(ctx, filter.Since, true, func(e reconcile.Event) error {
		if seen[key{e.At.UnixNano(), e.Message}] {
			return nil
		}
		return a.printEvents([]reconcile.Event{e}, filter, eventFlags{allLines: true})
	})
	if err != nil {
		return failure{exitNo, err}
	}
	return nil
}

// printEvents prints the events that a filter selects, or the last of them.
func (a *app) printEvents(events []reconcile.Event, filter status.EventFilter, flags eventFlags) error {
	events = slices.DeleteFunc(events, func(e reconcile.Event) bool { return !filter.Selects(e) })
	if n := uint(len(events)); !flags.allLines && n > flags.lines {
		events = events[n-flags.lines:]
	}
	for _, e := range events {
		if err := a.printer().Event(e); err != nil {
			return err
		}
	}
	return nil
}

// readHistory returns the events of the last daemon's history file.
func (a *app) readHistory(path string) ([]reconcile.Event, error) {
	events, corrupt, err := daemon.ReadHistory(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, _ = fmt.Fprintln(a.stderr, "ctkeeper: no daemon is running, and there is no history file")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("no daemon is running, and the last one's history is unreadable: %w", err)
	}
	_, _ = fmt.Fprintf(a.stderr, "ctkeeper: no daemon is running; this is the history file %s\n", path)
	if corrupt > 0 {
		_, _ = fmt.Fprintf(a.stderr, "ctkeeper: history: skipped %d corrupt lines\n", corrupt)
	}
	return events, nil
}
