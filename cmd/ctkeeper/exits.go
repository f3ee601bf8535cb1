package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// exits are the exit statuses of a command and what each means, for help, man pages and docs/reference.md. A command
// names its own. meanings adds those that every command has: 0, 2 for wrong usage, and 78 for a refused configuration
// in a command that reads it.
type exits map[int]string

const (
	// annotationConfig marks the commands that read the configuration: the others refuse --config.
	annotationConfig = "reads-config"
	annotationExit   = "exit " // and a status
)

// annotations returns the Annotations of a command that does not read the configuration.
func (e exits) annotations() map[string]string {
	all := map[string]string{}
	for status, meaning := range e {
		all[annotationExit+strconv.Itoa(status)] = meaning
	}
	return all
}

// readsConfig returns the Annotations of a command that reads the configuration.
func (e exits) readsConfig() map[string]string {
	all := e.annotations()
	all[annotationConfig] = ""
	return all
}

// exitsOf returns all exit statuses of a command; none for one that only has commands below it.
func exitsOf(cmd *cobra.Command) exits {
	if cmd.HasAvailableSubCommands() && cmd.HasParent() {
		return nil
	}
	all := exits{0: "done", exitUsage: "wrong usage"}
	if _, reads := cmd.Annotations[annotationConfig]; reads {
		all[exitConfig] = "the configuration is refused"
	}
	for key, meaning := range cmd.Annotations {
		if text, found := strings.CutPrefix(key, annotationExit); found {
			status, _ := strconv.Atoi(text) // annotations wrote a number
			if status == exitUsage {
				meaning += ", or wrong usage"
			}
			all[status] = meaning
		}
	}
	return all
}

func (e exits) sorted() []int { return slices.Sorted(maps.Keys(e)) }
