package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the width of every help, in columns.
const helpWidth = 80

// writeHelp writes the help of a command: what it does, usage, description, commands, flags, examples and exit
// statuses.
func writeHelp(w io.Writer, cmd *cobra.Command) {
	section := func(title, text string) {
		if text != "" {
			_, _ = fmt.Fprintf(w, "\n%s:\n%s", title, text) // like all of this: an output that fails has no reader
		}
	}
	_, _ = fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", fill(cmd.Short, helpWidth, ""), usageLine(cmd))
	if cmd.Long != "" {
		_, _ = fmt.Fprintf(w, "\n%s\n", fill(cmd.Long, helpWidth, ""))
	}
	section("Commands", commandList(cmd))
	section("Flags", flagList(ownFlags(cmd)))
	if cmd.HasParent() {
		section("Flags of every command (ctkeeper --help explains them)", globalFlags(cmd))
	}
	section("Examples", indent(cmd.Example))
	section("Exit status", exitList(exitsOf(cmd)))
}

// usageLine returns how a command is called.
func usageLine(cmd *cobra.Command) string {
	line := cmd.CommandPath() + " [FLAGS]"
	if cmd.HasAvailableSubCommands() {
		line += " COMMAND"
	}
	if _, arguments, found := strings.Cut(cmd.Use, " "); found {
		line += " " + arguments
	}
	return line
}

// commandList returns the commands below cmd, one a line.
func commandList(cmd *cobra.Command) string {
	var b strings.Builder
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			const column = 14
			_, _ = fmt.Fprintf(&b, "  %-*s %s\n", column-3, child.Name(),
				fill(child.Short, helpWidth-column, strings.Repeat(" ", column)))
		}
	}
	return b.String()
}

// ownFlags returns the flags that the help of a command explains: all but --help and those of every command.
func ownFlags(cmd *cobra.Command) *pflag.FlagSet {
	own := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	own.SortFlags = false
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" || !cmd.HasParent() {
			own.AddFlag(f)
		}
	})
	return own
}

func flagList(flags *pflag.FlagSet) string { return flags.FlagUsagesWrapped(helpWidth) }

// globalFlags returns the flags of every command. --config is one of those that read the configuration.
func globalFlags(cmd *cobra.Command) string {
	line := ""
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if _, reads := cmd.Annotations[annotationConfig]; f.Name != "config" || reads {
			line += " --" + f.Name
		}
	})
	return "  " + fill(line, helpWidth-2, "  ") + "\n"
}

// exitList returns exit statuses, one a line.
func exitList(e exits) string {
	var b strings.Builder
	for _, status := range e.sorted() {
		_, _ = fmt.Fprintf(&b, "  %-3d %s\n", status, fill(e[status], helpWidth-6, strings.Repeat(" ", 6)))
	}
	return b.String()
}

// indent returns the lines of a text, each behind two spaces.
func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// fill breaks a text between words so that no line has more than width columns; longer words stay whole. The lines
// after the first begin with hanging, which width does not count. Empty lines between paragraphs stay.
func fill(text string, width int, hanging string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		var lines []string
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimLeft(line+" "+word, " ")
		}
		paragraphs = append(paragraphs, strings.Join(append(lines, line), "\n"+hanging))
	}
	return strings.Join(paragraphs, "\n\n"+hanging)
}
