package kmod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/capability"
)

// loadTimeout bounds one modprobe: an install line in modprobe.d can run
// anything.
const loadTimeout = 10 * time.Second

// waitDelay is how long what an install line started may hold modprobe's output
// open once modprobe itself has ended.
const waitDelay = time.Second

// ErrNotLoaded says that modprobe(8) was content and the module is absent all
// the same: it is blacklisted, or an install line put something in its place.
var ErrNotLoaded = errors.New("modprobe reported no error, but the module is not there (blacklisted in modprobe.d?)")

// Load loads a module through modprobe(8), which heeds the blacklists, install
// lines and options of modprobe.d. The error holds everything that modprobe said.
func Load(ctx context.Context, root, name string) error {
	if root != "" && filepath.Clean(root) != "/" {
		return fmt.Errorf("cannot load %s: %s is not the running system", name, root)
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	modprobe := exec.CommandContext(ctx, "modprobe", "--use-blacklist", "--verbose", name)
	modprobe.WaitDelay = waitDelay
	out, err := modprobe.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	said := strings.Join(strings.FieldsFunc(string(bytes.TrimSpace(out)), func(r rune) bool { return r == '\n' }), "; ")
	switch {
	case err != nil && said != "":
		return fmt.Errorf("cannot load %s: modprobe: %w: %s", name, err, said)
	case err != nil:
		return fmt.Errorf("cannot load %s: %w", name, err)
	case Look(root, name).State == Absent:
		if said != "" {
			return fmt.Errorf("cannot load %s: %w: %s", name, ErrNotLoaded, said)
		}
		return fmt.Errorf("cannot load %s: %w", name, ErrNotLoaded)
	}
	return nil
}

// MayLoad reports whether this process has CAP_SYS_MODULE (capabilities(7)).
func MayLoad() bool { return capability.Held(unix.CAP_SYS_MODULE) }
