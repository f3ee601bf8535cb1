package document

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A Host runs commands.
type Host interface {
	// Run returns a command's output, both streams, and its exit status.
	Run(command string) (output string, status int)
}

// A Shell is a Host: the program and the arguments to which the command is added, as in {"sh", "-c"}.
type Shell []string

// commandTime is how long a command may run. An emulated processor is slow, and apt is patient.
const commandTime = 5 * time.Minute

// Run runs a command by the shell.
func (s Shell) Run(command string) (output string, status int) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, s[0], append(slices.Clone(s[1:]), command)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		return fmt.Sprintf("%s%v\n", out, err), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Test runs a document on a host and reports every difference. With update it rewrites the file instead.
func Test(t testing.TB, file string, host Host, update bool) {
	t.Helper()
	d, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	updated, problems := d.Run(host)
	for _, problem := range problems {
		t.Error(problem)
	}
	if update {
		if err := os.WriteFile(file, []byte(updated), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Run runs the commands of a document in their order. It returns the text with the outputs as they are now, and every
// difference between the two, ready to print.
func (d *Document) Run(host Host) (updated string, problems []string) {
	lines := slices.Clone(d.lines)
	var steps []Step
	var outputs [][]string
	fail := func(line int, text string) {
		problems = append(problems, fmt.Sprintf("%s:%d: %s", d.File, line, text))
	}
	for _, b := range d.Blocks {
		if b.NotRun != "" {
			continue
		}
		for _, hidden := range append(b.Hidden, b.write()...) {
			if out, status := host.Run(hidden.Command); status != 0 {
				fail(hidden.Line, fmt.Sprintf("$ %s\nexit status %d\n%s", hidden.Command, status, out))
			}
		}
		for _, step := range b.Steps {
			out, status := host.Run(step.Command)
			got := splitLines(out)
			if status < 0 || status > 125 {
				fail(step.Line, fmt.Sprintf("$ %s\nexit status %d\n%s", step.Command, status, out))
			} else if kept, diff := compare(step.Output, got); diff != "" {
				fail(step.Line, fmt.Sprintf("$ %s (exit status %d)\n%s", step.Command, status, diff))
				got = kept
			} else if status != 0 && len(step.Output) == 0 {
				fail(step.Line, fmt.Sprintf("$ %s\nexit status %d, and no output says why", step.Command, status))
			} else {
				continue
			}
			for i := range got {
				got[i] = strings.TrimRight(b.indent+got[i], " ")
			}
			steps, outputs = append(steps, step), append(outputs, got)
		}
	}
	for i, step := range slices.Backward(steps) {
		lines = slices.Replace(lines, step.first, step.first+len(step.Output), outputs[i]...)
	}
	return strings.Join(lines, "\n"), problems
}

// write returns the command that writes a block to its file.
func (b *Block) write() []Step {
	if b.Path == "" {
		return nil
	}
	const end = "END_OF_BLOCK"
	text := strings.Join(b.Lines, "\n") + "\n"
	return []Step{{
		Line:    b.Line,
		Command: fmt.Sprintf("mkdir -p \"$(dirname %s)\" && cat >%s <<'%s'\n%s%s", b.Path, b.Path, end, text, end),
	}}
}

func splitLines(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \r")
	}
	return lines
}
