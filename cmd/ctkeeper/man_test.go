package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ctkeeper/ctkeeper/internal/man"
	"github.com/ctkeeper/ctkeeper/status"
)

// TestPagesAreCurrent compares ctkeeper(8), and a page for each command, with what the commands say of themselves.
func TestPagesAreCurrent(t *testing.T) {
	const root = "../.."
	written := map[string]bool{}
	for _, cmd := range allCommands() {
		if cmd.HasParent() && cmd.Parent().HasParent() {
			continue // it is in the page of its parent
		}
		page := commandPage(cmd)
		man.Compare(t, root, page, *update)
		written[page.Name+".8"] = true
	}
	written["ctkeeper-exporter.8"] = true
	files, err := filepath.Glob(root + "/packaging/man/*.8")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !written[filepath.Base(file)] {
			t.Errorf("%s is the page of no command", file)
		}
	}
}

func commandPage(cmd *cobra.Command) man.Page {
	parts := []man.Part{
		{Title: "Synopsis", Roff: synopsis(cmd)},
		{Title: "Description", Roff: description(cmd)},
		{Title: "Options", Roff: optionList(cmd)},
		{Title: "Exit status", Roff: exitStatuses(cmd)},
		{Title: "Environment", Roff: list(environment(cmd))},
		{Title: "Files", Roff: list(files(cmd))},
		{Title: "Examples", Roff: examples(cmd)},
		{Title: "See also", Roff: man.SeeAlso(seeAlso(cmd)...)},
	}
	return man.Page{Name: pageName(cmd), Section: 8, Short: lowered(cmd.Short), Parts: parts}
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// lowered returns a text with a small first letter, as in NAME of other pages.
func lowered(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// withCommands returns a command and, but for the whole program, those below it.
func withCommands(cmd *cobra.Command) []*cobra.Command {
	if !cmd.HasParent() {
		return []*cobra.Command{cmd}
	}
	return commands(cmd)
}

func synopsis(cmd *cobra.Command) string {
	text := ""
	for _, c := range withCommands(cmd) {
		if !c.HasSubCommands() || !c.HasParent() {
			text += man.Synopsis(usageLine(c))
		}
	}
	return text
}

func description(cmd *cobra.Command) string {
	text := man.Markdown(cmd.Short + ".\n\n" + cmd.Long)
	if !cmd.HasSubCommands() {
		return text
	}
	text += ".SS Commands\n"
	for _, child := range cmd.Commands() {
		switch {
		case child.Hidden:
		case cmd.HasParent():
			text += man.Tagged(man.Bold(child.CommandPath()), child.Short+". "+child.Long)
		default:
			text += man.Tagged(man.Bold(pageName(child))+"(8)", child.Short+".")
		}
	}
	return text
}

func optionList(cmd *cobra.Command) string {
	text := ""
	if cmd.HasParent() {
		text = man.Markdown("`ctkeeper`(8) has the options of every command.")
	}
	for _, c := range withCommands(cmd) {
		flags := ownFlags(c)
		if c != cmd && flags.HasFlags() {
			text += ".SS " + man.Bold(c.CommandPath()) + "\n"
		}
		flags.VisitAll(func(f *pflag.Flag) { text += option(f) })
	}
	return text
}

func option(f *pflag.Flag) string {
	argument, usage := pflag.UnquoteUsage(f)
	tag := man.Bold("--" + f.Name)
	if f.Shorthand != "" {
		tag = man.Bold("-"+f.Shorthand) + ", " + tag
	}
	if argument != "" {
		tag += " " + man.Italic(argument)
	}
	usage = strings.ToUpper(usage[:1]) + usage[1:] + "."
	if !slices.Contains([]string{"", "false", "[]", "0"}, f.DefValue) {
		usage += fmt.Sprintf(" The default is `%s`.", f.DefValue)
	}
	return man.Tagged(tag, usage)
}

func exitStatuses(cmd *cobra.Command) string {
	text := ""
	for _, c := range withCommands(cmd) {
		e := exitsOf(c)
		if c != cmd && e != nil {
			text += ".SS " + man.Bold(c.CommandPath()) + "\n"
		}
		for _, status := range e.sorted() {
			meaning := e[status]
			text += man.Tagged(man.Bold(fmt.Sprint(status)), strings.ToUpper(meaning[:1])+meaning[1:]+".")
		}
	}
	return text
}

func readsConfig(cmd *cobra.Command) bool {
	return slices.ContainsFunc(withCommands(cmd), func(c *cobra.Command) bool {
		_, reads := c.Annotations[annotationConfig]
		return reads
	}) || !cmd.HasParent()
}

func environment(cmd *cobra.Command) map[string]string {
	all := map[string]string{
		"NO_COLOR": "If it is not empty, no output has colours. Without it, output to a terminal has colours unless " +
			"`TERM` is `dumb`.",
	}
	if cmd.Name() == "run" || !cmd.HasParent() {
		all["RUNTIME_DIRECTORY"] = "The directory of the status socket. systemd sets it."
		all["STATE_DIRECTORY"] = "The directory of the history. systemd sets it."
		all["GOGC"] = "How much the heap of the daemon grows before it is collected, in percent; 50 by default."
	}
	return all
}

func files(cmd *cobra.Command) map[string]string {
	all := map[string]string{}
	if readsConfig(cmd) {
		all["/etc/ctkeeper/ctkeeper.yaml"] = "The configuration: see `ctkeeper.yaml`(5)."
		all["/etc/ctkeeper/conf.d/*.yaml"] = "Drop-ins of the configuration, also in /run and /usr/lib."
	}
	if slices.Contains([]string{"ctkeeper", "run", "status", "events"}, cmd.Name()) {
		all[status.SocketPath("/")] = "The status socket: HTTP and JSON, for root and the group `ctkeeper`."
		all[status.HistoryPath("/")] = "The history, one event a line, as JSON."
	}
	if slices.Contains([]string{"ctkeeper", "persist"}, cmd.Name()) {
		all["/etc/modprobe.d/ctkeeper.conf"] = "Parameters of nf_conntrack, written by `ctkeeper-persist`(8)."
		all["/etc/modules-load.d/ctkeeper.conf"] = "Loads nf_conntrack at boot, written by `ctkeeper-persist`(8)."
	}
	return all
}

// list returns names and what they mean, sorted by name.
func list(entries map[string]string) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		text += man.Tagged(man.Italic(name), entries[name])
	}
	return text
}

func examples(cmd *cobra.Command) string {
	text := ""
	for _, c := range withCommands(cmd) {
		if c.Example != "" {
			text += c.Example + "\n"
		}
	}
	if text == "" {
		return ""
	}
	return man.Example(text)
}

func seeAlso(cmd *cobra.Command) []string {
	if !cmd.HasParent() {
		return []string{
			"ctkeeper.yaml(5)", "ctkeeper-guard(7)", "ctkeeper-exporter(8)", "conntrack(8)", "journalctl(1)",
			"modprobe.d(5)", "sysctl(8)", "systemctl(1)",
		}
	}
	pages := []string{"ctkeeper(8)"}
	if readsConfig(cmd) {
		pages = append(pages, "ctkeeper.yaml(5)")
	}
	if slices.Contains([]string{"guard", "events"}, cmd.Name()) {
		pages = append(pages, "ctkeeper-guard(7)")
	}
	return pages
}
