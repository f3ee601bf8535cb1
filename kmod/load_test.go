package kmod

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const (
	present = "kernel" // /sys/module/kernel is on every host with sysfs
	missing = "ctkeeper_no_such_module"
)

// fakeModprobe puts a shell script first in PATH as modprobe. Nothing is loaded.
func fakeModprobe(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "modprobe"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestLoad(t *testing.T) {
	if _, err := os.Stat("/sys/module/kernel"); err != nil {
		netns.Cannot(t, "no sysfs here: %v", err)
	}
	tests := []struct {
		name, script, module string
		want                 string // of the error
		notLoaded            bool
	}{
		{"loaded", `echo insmod x`, present, "", false},
		{"arguments", `[ "$*" = "--use-blacklist --verbose kernel" ]`, present, "", false},
		{
			"refused", "echo 'insmod /lib/x.ko hashsize=9'\n" +
				"echo \"modprobe: ERROR: could not insert '$3': Invalid argument\" >&2\nexit 1", missing,
			"cannot load ctkeeper_no_such_module: modprobe: exit status 1: insmod /lib/x.ko hashsize=9; " +
				"modprobe: ERROR: could not insert 'ctkeeper_no_such_module': Invalid argument", false,
		},
		{"refused without output", `exit 3`, missing, "cannot load ctkeeper_no_such_module: exit status 3", false},
		{
			"blacklisted", `exit 0`, missing,
			"cannot load ctkeeper_no_such_module: modprobe succeeded, but the module is absent (blacklisted in " +
				"modprobe.d?)", true,
		},
		{
			"an install line runs something else", `echo install /bin/true`, missing,
			"cannot load ctkeeper_no_such_module: modprobe succeeded, but the module is absent (blacklisted in " +
				"modprobe.d?): " +
				"install /bin/true", true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fakeModprobe(t, test.script)
			err := Load(t.Context(), tree.Tree{}, test.module)
			if got := text(err); got != test.want {
				t.Errorf("error %q, want %q", got, test.want)
			}
			if got := errors.Is(err, ErrNotLoaded); got != test.notLoaded {
				t.Errorf("is ErrNotLoaded: %t, want %t", got, test.notLoaded)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestLoadWithoutModprobe(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	const want = `cannot load x: exec: "modprobe": executable file not found in $PATH`
	if got := text(Load(t.Context(), tree.Tree{}, "x")); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestLoadOnlyIntoTheRunningSystem(t *testing.T) {
	fakeModprobe(t, "echo modprobe ran >&2; exit 1")
	const want = "cannot load nf_conntrack: /srv/image is not the running system"
	if got := text(Load(t.Context(), tree.At("/srv/image"), Conntrack)); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if got := text(Load(t.Context(), tree.At("/."), "x")); !strings.Contains(got, "modprobe ran") {
		t.Errorf("/. is the running system too, error %q", got)
	}
}

// A process that an install line starts can keep the output open.
func TestLoadEndsInTime(t *testing.T) {
	fakeModprobe(t, "echo waiting\nsleep 8\necho done")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := Load(ctx, tree.Tree{}, missing)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
	if !strings.HasSuffix(text(err), ": waiting") {
		t.Errorf("the output is missing: %v", err)
	}
	if took := time.Since(began); took > 300*time.Millisecond+4*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestMayLoad(t *testing.T) {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	var effective uint64
	for line := range strings.Lines(string(status)) {
		if mask, ok := strings.CutPrefix(line, "CapEff:"); ok {
			if effective, err = strconv.ParseUint(strings.TrimSpace(mask), 16, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := effective&(1<<unix.CAP_SYS_MODULE) != 0; MayLoad() != want {
		t.Errorf("MayLoad is %t, CapEff says %t", MayLoad(), want)
	}
}
