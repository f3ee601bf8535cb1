package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	program := flag.String("go", "go", "the go command")
	compiler := flag.String("cc", "cc", "the C compiler that the race detector needs")
	plain := flag.String("norace", "", "`MODULES` that are tested too, without -race: other people's code")
	flag.Parse()
	dirs, flags := flag.Args(), []string(nil)
	if at := slices.Index(dirs, "--"); at >= 0 {
		dirs, flags = dirs[:at], dirs[at+1:]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := checkCompiler(ctx, *compiler); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	summary, failed := &report{out: os.Stdout}, false
	test := func(dir string, flags []string) {
		if err := runTests(ctx, *program, summary, dir, flags); err != nil {
			failed = true
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) { // go test has printed why
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	for _, dir := range dirs {
		test(dir, flags)
	}
	isRace := func(flag string) bool { return flag == "-race" }
	for _, dir := range strings.Fields(*plain) {
		test(dir, slices.DeleteFunc(slices.Clone(flags), isRace))
	}
	summary.printSkipped()
	printMissing(os.Stdout, exec.LookPath)
	if failed {
		os.Exit(1)
	}
}

// runTests runs all tests of the module in a directory.
func runTests(ctx context.Context, program string, summary *report, dir string, flags []string) error {
	args := slices.Concat([]string{"-C", dir, "test", "-json"}, flags, []string{"./..."})
	command := exec.CommandContext(ctx, program, args...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("cannot run the tests: %w", err)
	}
	return errors.Join(summary.read(out), command.Wait())
}

// checkCompiler compiles a file that needs the compiler and the C library's headers, as the race detector does.
func checkCompiler(ctx context.Context, compiler string) error {
	command := exec.CommandContext(ctx, compiler, "-x", "c", "-c", "-o", os.DevNull, "-")
	command.Stdin = strings.NewReader("#include <stdlib.h>\n#include <pthread.h>\n")
	out, err := command.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("the race detector needs a C compiler, and there is no %s: apt-get install gcc libc6-dev",
			compiler)
	case err != nil:
		return fmt.Errorf("the race detector needs the C library's headers: apt-get install libc6-dev\n%s", out)
	}
	return nil
}

// tools are programs that tests use where they exist, each with its Debian package.
func tools() [][2]string {
	return [][2]string{
		{"ansible-lint", "ansible-lint"}, {"ansible-playbook", "ansible-core"}, {"chromium", "chromium"},
		{"depmod", "kmod"}, {"journalctl", "systemd"}, {"ip", "iproute2"}, {"lintian", "lintian"}, {"mandoc", "mandoc"},
		{"nix-instantiate", "nix-bin"},
		{"patch", "patch"}, {"prometheus", "prometheus"}, {"promtool", "prometheus"},
		{"prometheus-alertmanager", "prometheus-alertmanager"}, {"rpm", "rpm"},
		{"rpmlint", "rpmlint"}, {"systemd-analyze", "systemd"}, {"unshare", "util-linux"}, {"xz", "xz-utils"},
	}
}

// printMissing lists the tools that are not installed, and the command that installs them.
func printMissing(out io.Writer, look func(string) (string, error)) {
	var names, packages []string
	for _, tool := range tools() {
		if _, err := look(tool[0]); err == nil {
			continue
		}
		names = append(names, tool[0])
		if !slices.Contains(packages, tool[1]) {
			packages = append(packages, tool[1])
		}
	}
	if len(names) > 0 {
		_, _ = fmt.Fprintf(out, "\nMissing, so that some tests cannot run: %s\n  apt-get install %s\n",
			strings.Join(names, ", "), strings.Join(packages, " "))
	}
}
