package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ctkeeper/ctkeeper/host/spelling"
)

// hint returns what follows a wrong word: the known word that was probably meant, or else something.
func hint(word string, known []string, otherwise string) string {
	if near := spelling.Nearest(word, known); near != "" {
		return " (did you mean " + near + "?)"
	}
	return " (" + otherwise + ")"
}

// invalidArgument is the error of a flag's argument that is not one of the known ones.
func invalidArgument(argument, flag string, known []string) error {
	return fmt.Errorf("invalid argument %q for --%s%s", argument, flag,
		hint(argument, known, strings.Join(known, ", ")))
}

// checkArguments sets the check of arguments of cmd and every command below it: a word that follows a command
// with commands is one of them, and a command whose Use names no argument has none.
func checkArguments(cmd *cobra.Command) {
	switch {
	case cmd.HasSubCommands():
		cmd.Args = isCommand
		if cmd.RunE == nil {
			cmd.RunE = missingCommand
		}
	case !strings.Contains(cmd.Use, " "):
		cmd.Args = hasNone
	}
	for _, child := range cmd.Commands() {
		checkArguments(child)
	}
}

func isCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownCommand(cmd, args[0])
}

func hasNone(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q (see %s --help)", args[0], cmd.CommandPath())
}

func missingCommand(cmd *cobra.Command, _ []string) error {
	return fmt.Errorf("%s needs a command (%s)", cmd.Name(), strings.Join(childNames(cmd), ", "))
}

// unknownCommand is the error of a word that is no command below cmd. The hint is the nearest of those, those that
// begin with it, or commands of the same name elsewhere: show is config show.
func unknownCommand(cmd *cobra.Command, word string) error {
	path := strings.TrimPrefix(cmd.CommandPath()+" ", cmd.Root().Name()+" ")
	var meant []string
	if near := spelling.Nearest(word, childNames(cmd)); near != "" && near != word {
		meant = append(meant, path+near)
	}
	if len(meant) == 0 && len(word) > 1 {
		for _, name := range childNames(cmd) {
			if strings.HasPrefix(name, word) && name != word {
				meant = append(meant, path+name)
			}
		}
	}
	if len(meant) == 0 && !slices.Contains(childNames(cmd), word) {
		meant = pathsOf(cmd.Root(), word)
	}
	if len(meant) == 0 {
		return fmt.Errorf("unknown command %q (see %s --help)", path+word, cmd.CommandPath())
	}
	return fmt.Errorf("unknown command %q (did you mean %s?)", path+word, strings.Join(meant, " or "))
}

func childNames(cmd *cobra.Command) []string {
	var names []string
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			names = append(names, child.Name())
		}
	}
	return names
}

// pathsOf returns the commands of a name, without the name of the program.
func pathsOf(cmd *cobra.Command, name string) []string {
	var paths []string
	for _, child := range cmd.Commands() {
		if child.Name() == name && child.IsAvailableCommand() {
			paths = append(paths, strings.TrimPrefix(child.CommandPath(), cmd.Root().Name()+" "))
		}
		paths = append(paths, pathsOf(child, name)...)
	}
	return paths
}

// flagError returns pflag's errors in the words of the others.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown  *pflag.NotExistError
		needs    *pflag.ValueRequiredError
		invalid  *pflag.InvalidValueError
		argument = slices.Concat(cmd.Flags().Args(), []string{""})[0] // before the wrong flag
	)
	switch {
	case errors.As(err, &unknown) && cmd.HasSubCommands() && argument != "":
		return unknownCommand(cmd, argument)
	case errors.As(err, &unknown):
		word := unknown.GetSpecifiedName()
		shown := "--" + word
		if letters := unknown.GetSpecifiedShortnames(); letters != "" { // one dash
			word, shown = letters, "-"+letters
		}
		return fmt.Errorf("unknown flag %s%s", shown,
			hint("--"+word, flagNames(cmd), "see "+cmd.CommandPath()+" --help"))
	case errors.As(err, &needs):
		kind, _ := pflag.UnquoteUsage(needs.GetFlag())
		return fmt.Errorf("--%s needs an argument: --%[1]s %s", needs.GetFlag().Name, kind)
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool":
		return invalidArgument(invalid.GetValue(), invalid.GetFlag().Name, []string{"true", "false"})
	case errors.As(err, &invalid):
		kind, _ := pflag.UnquoteUsage(invalid.GetFlag())
		return fmt.Errorf("invalid argument %q for --%s (%s)", invalid.GetValue(), invalid.GetFlag().Name, kind)
	}
	return err
}

// flagNames returns the flags of a command, with dashes.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return names
}
