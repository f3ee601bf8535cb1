package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// workflow is what the tests need of a workflow of the forge.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Uses        string
		Permissions map[string]string
		Strategy    struct{ Matrix struct{ Target []string } }
		Steps       []struct{ Uses, Run string }
	}
}

// readWorkflows returns the workflows by the name of their file.
func readWorkflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("workflows: %v, %v", files, err)
	}
	workflows := map[string]workflow{}
	for _, file := range files {
		var w workflow
		read(t, file, &w)
		workflows[filepath.Base(file)] = w
	}
	return workflows
}

// findTargets returns the targets of make that a text runs, with the variables that follow them.
func findTargets(text string) (targets []string) {
	commands := regexp.MustCompile(`\bmake( -s)?((?: [a-z0-9]+(?: [A-Z]+=\S+)?)+)`)
	target := regexp.MustCompile(`[a-z0-9]+( [A-Z]+=\S+)?`)
	for _, command := range commands.FindAllStringSubmatch(text, -1) {
		targets = append(targets, target.FindAllString(command[2], -1)...)
	}
	return targets
}

// TestForgeRunsTheGate checks that the workflows run targets that exist, and all that the gate runs.
func TestForgeRunsTheGate(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string]bool{}
	for name, w := range readWorkflows(t) {
		var targets []string
		for _, job := range w.Jobs {
			for _, target := range job.Strategy.Matrix.Target {
				targets = append(targets, findTargets("make "+target)...)
			}
			for _, step := range job.Steps {
				targets = append(targets, findTargets(step.Run)...)
			}
		}
		if len(targets) == 0 {
			t.Errorf("%s runs no target of make", name)
		}
		for _, target := range targets {
			runs[target] = name == "ci.yml" || runs[target]
			rule, _, _ := strings.Cut(target, " ")
			if !regexp.MustCompile(`(?m)^` + rule + `:`).Match(makefile) {
				t.Errorf("%s runs make %s, which the Makefile does not have", name, rule)
			}
		}
	}
	gate, err := os.ReadFile("../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile(`(?m)^step .*`).FindAllString(string(gate), -1)
	if len(steps) == 0 {
		t.Error(".ci/run has no steps")
	}
	for _, step := range steps {
		for _, target := range findTargets(step) {
			if !runs[target] {
				t.Errorf("ci.yml does not run make %s, which .ci/run runs", target)
			}
		}
	}
}

// TestForgeMayLittle checks that workflows may only read, but for the job that publishes a release, and that each
// action is that of one commit.
func TestForgeMayLittle(t *testing.T) {
	pinned := regexp.MustCompile(`^actions/[a-z-]+@[0-9a-f]{40}$|^\./\.github/`)
	for name, w := range readWorkflows(t) {
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s: permissions %v, want contents: read", name, w.Permissions)
		}
		for id, job := range w.Jobs {
			if len(job.Permissions) > 0 && id != "publish" {
				t.Errorf("%s: %s has permissions %v", name, id, job.Permissions)
			}
			uses := []string{job.Uses}
			for _, step := range job.Steps {
				uses = append(uses, step.Uses)
			}
			for _, action := range uses {
				if action != "" && !pinned.MatchString(action) {
					t.Errorf("%s: %s uses %s, not a commit", name, id, action)
				}
			}
		}
	}
}
