package kmod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/host/command"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// loadLimits limit one modprobe: an install line in modprobe.d can run anything.
var loadLimits = command.Limits{Timeout: 10 * time.Second, Output: 64 << 10}

// ErrNotLoaded means that modprobe(8) succeeded and the module is absent: it is blacklisted, or an
// install line runs something else in place of the load.
var ErrNotLoaded = errors.New("modprobe succeeded, but the module is absent (blacklisted in modprobe.d?)")

// Load loads a module through modprobe(8), which follows the blacklists, install lines and options of
// modprobe.d. The error includes all output of modprobe.
func Load(ctx context.Context, host tree.Tree, name string) error {
	if !host.Live() {
		return fmt.Errorf("cannot load %s: %s is not the running system", name, host.Root())
	}
	out, err := command.Combined(ctx, loadLimits, "modprobe", "--use-blacklist", "--verbose", name)
	output := strings.Join(strings.FieldsFunc(string(bytes.TrimSpace(out)), func(r rune) bool { return r == '\n' }),
		"; ")
	switch {
	case err != nil && output != "":
		return fmt.Errorf("cannot load %s: modprobe: %w: %s", name, err, output)
	case err != nil:
		return fmt.Errorf("cannot load %s: %w", name, err)
	case Observe(host, name).State == Absent:
		if output != "" {
			return fmt.Errorf("cannot load %s: %w: %s", name, ErrNotLoaded, output)
		}
		return fmt.Errorf("cannot load %s: %w", name, ErrNotLoaded)
	}
	return nil
}

// MayLoad reports whether this process has CAP_SYS_MODULE (capabilities(7)).
func MayLoad() bool { return capability.Held(unix.CAP_SYS_MODULE) }
