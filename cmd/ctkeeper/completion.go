package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shells are the arguments of completion.
func shells() []string { return []string{"bash", "fish", "zsh"} }

// completion takes the place of cobra's own completion command.
func (a *app) completion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script of a shell: " + strings.Join(shells(), ", "),
		Long: "The packages install these scripts where the shells look for them. bash needs the package " +
			"bash-completion.",
		Example: "source <(ctkeeper completion bash)  # for this shell\n" +
			"ctkeeper completion fish > ~/.config/fish/completions/ctkeeper.fish",
		Annotations: exits{0: "printed", 1: "not printed"}.annotations(),
		ValidArgs:   shells(),
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return fmt.Errorf("%s needs a shell (%s)", cmd.Name(), strings.Join(shells(), ", "))
			case len(args) > 1:
				return hasNone(cmd, args[1:])
			case !slices.Contains(shells(), args[0]):
				return fmt.Errorf("unknown shell %q%s", args[0], hint(args[0], shells(), strings.Join(shells(), ", ")))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			switch root := cmd.Root(); args[0] {
			case "bash":
				err = root.GenBashCompletionV2(a.stdout, true)
			case "fish":
				err = root.GenFishCompletion(a.stdout, true)
			case "zsh":
				err = root.GenZshCompletion(a.stdout)
			}
			if err != nil {
				return failure{exitNo, err}
			}
			return nil
		},
	}
}
