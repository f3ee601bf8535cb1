package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/explain/render"
	"github.com/ctkeeper/ctkeeper/persist"
)

func (a *app) render() *cobra.Command {
	var agree bool
	cmd := &cobra.Command{
		Use:   "render TARGET",
		Short: "Print what another owner needs to agree with ctkeeper",
		Long: "TARGET is one of " + strings.Join(render.Targets(), ", ") + ". It prints the part of that owner's " +
			"configuration with which it sets the same values as ctkeeper, or leaves them to ctkeeper. Its " +
			"comments explain how to apply it, and list what is left out. It writes nothing.",
		Example: "ctkeeper render kube-proxy\n" +
			"ctkeeper render kube-proxy --agree  # it sets the same values\n" +
			"ctkeeper render cri-o >90-ctkeeper.conf",
		Annotations:       exits{0: "printed", 1: "not printed"}.readsConfig(),
		ValidArgsFunction: cobra.FixedCompletions(render.Targets(), cobra.ShellCompDirectiveNoFileComp),
		Args: func(cmd *cobra.Command, args []string) error {
			targets := render.Targets()
			switch {
			case len(args) == 0:
				return fmt.Errorf("%s needs a target (%s)", cmd.Name(), strings.Join(targets, ", "))
			case len(args) > 1:
				return hasNone(cmd, args[1:])
			case !slices.Contains(targets, args[0]):
				return fmt.Errorf("unknown target %q%s", args[0], hint(args[0], targets, strings.Join(targets, ", ")))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.printSnippet(args[0], agree) },
	}
	cmd.Flags().BoolVar(&agree, "agree", false, "for "+strings.Join(render.Agreeing(), " and ")+
		": set the same values, or allow pods to set them, instead of leaving them alone")
	return cmd
}

// printSnippet prints the snippet for a target.
func (a *app) printSnippet(target string, agree bool) error {
	if agreeing := render.Agreeing(); agree && !slices.Contains(agreeing, target) {
		return fmt.Errorf("--agree is for %s: %s sets the same values anyway", strings.Join(agreeing, " and "), target)
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	atLoad, notes := persist.AtLoad(a.host, cfg)
	snippet, err := render.New(target, cfg, render.Options{Agree: agree, AtLoad: atLoad, AtLoadNotes: notes})
	if err == nil {
		err = a.printer().Render(snippet, a.stderr)
	}
	if err != nil {
		return failure{exitNo, err}
	}
	return nil
}
