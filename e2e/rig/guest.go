package rig

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// GuestDir is where a guest finds its program; it is told in CTKEEPER_E2E_DIR.
const GuestDir = "/usr/lib/ctkeeper-e2e"

const guestUnit = "e2e-scenarios.service"

// A Guest is what one run adds to the root: a program, run once by systemd when
// the system is up, and whatever it is to test.
type Guest struct {
	Trees   map[string]string // host directory → prefix in the guest
	Files   map[string]string // path in the guest → content
	Links   map[string]string // path in the guest → target
	Program string            // host path of the program
	Args    []string          // its arguments
	Enable  []string          // units to enable, as `systemctl enable` would
	Kernel  string            // more for the kernel's command line
}

// scenarioUnit runs the program with its output on the second serial port, where
// the kernel's and systemd's own lines cannot fall into it. The journal goes to
// the third. The message catalog is what a package's trigger would update; users
// and temporary files Debian's own units make at boot. OOMScoreAdjust keeps the
// one who reports alive the longest.
const scenarioUnit = `[Unit]
Description=End-to-end scenarios
After=multi-user.target
[Service]
Type=exec
ExecStartPre=/bin/stty -F /dev/ttyS1 raw
ExecStartPre=/bin/journalctl --update-catalog
ExecStart=/bin/sh ` + GuestDir + `/start
ExecStopPost=/bin/sh -c 'stty -F /dev/ttyS2 raw; journalctl --no-pager -o short-precise >/dev/ttyS2'
ExecStopPost=/bin/systemctl --no-block --force poweroff
TimeoutStopSec=120
OOMScoreAdjust=-900
KillMode=mixed
Environment=HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin CTKEEPER_E2E_DIR=` + GuestDir + `
`

// masked are units that would only cost an emulated processor time, or disturb a
// scenario at a moment of their own choosing.
var masked = []string{
	"serial-getty@ttyS0.service", "getty@tty1.service", "getty-static.service", "systemd-hwdb-update.service",
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
	"fstrim.timer", "systemd-tmpfiles-clean.timer", "systemd-timesyncd.service", "systemd-networkd.service",
	"systemd-networkd-wait-online.service", "logrotate.timer", "systemd-pstore.service",
}

// write makes the overlay archive.
func (g Guest) write(file string) error {
	return writeArchive(file, func(a *Archive) error {
		if err := g.system(a); err != nil {
			return err
		}
		for dir, prefix := range g.Trees {
			if err := a.Tree(dir, strings.TrimPrefix(prefix, "/")); err != nil {
				return err
			}
		}
		for name, content := range g.Files {
			if err := a.File(strings.TrimPrefix(name, "/"), 0o644, content); err != nil {
				return err
			}
		}
		for name, target := range g.Links {
			if err := a.Symlink(strings.TrimPrefix(name, "/"), target); err != nil {
				return err
			}
		}
		return g.program(a)
	})
}

func (g Guest) system(a *Archive) error {
	start := "exec " + GuestDir + "/program"
	for _, arg := range g.Args {
		start += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	files := map[string]string{
		"etc/hostname": "guest\n", "etc/fstab": "", "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
		"etc/systemd/system/" + guestUnit:            scenarioUnit,
		strings.TrimPrefix(GuestDir, "/") + "/start": start + " >/dev/ttyS1 2>&1\n",
		// Scenarios count journal entries: none may be dropped or forwarded.
		"etc/systemd/journald.conf.d/e2e.conf": "[Journal]\nStorage=volatile\nRateLimitBurst=0\nForwardToConsole=no\nForwardToWall=no\nRuntimeMaxUse=200M\n",
	}
	for name, content := range files {
		if err := a.File(name, 0o644, content); err != nil {
			return err
		}
	}
	links := map[string]string{
		"etc/systemd/system/default.target":                       "/usr/lib/systemd/system/multi-user.target",
		"etc/systemd/system/multi-user.target.wants/" + guestUnit: "../" + guestUnit,
	}
	for _, unit := range masked {
		links["etc/systemd/system/"+unit] = "/dev/null"
	}
	for _, unit := range g.Enable {
		if err := g.enable(unit, links); err != nil {
			return err
		}
	}
	for name, target := range links {
		if err := a.Symlink(name, target); err != nil {
			return err
		}
	}
	return nil
}

// enable does what `systemctl enable` does for the WantedBy= of a unit in Trees.
func (g Guest) enable(unit string, links map[string]string) error {
	for dir := range g.Trees {
		content, err := os.ReadFile(filepath.Join(dir, "usr/lib/systemd/system", unit))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(content)) {
			targets, ok := strings.CutPrefix(strings.TrimSpace(line), "WantedBy=")
			if !ok {
				continue
			}
			for target := range strings.FieldsSeq(targets) {
				links[path.Join("etc/systemd/system", target+".wants", unit)] = "/usr/lib/systemd/system/" + unit
			}
			return nil
		}
		return fmt.Errorf("unit %s has no WantedBy=", unit)
	}
	return fmt.Errorf("unit %s is not installed", unit)
}

func (g Guest) program(a *Archive) error {
	body, err := os.Open(g.Program)
	if err != nil {
		return err
	}
	defer body.Close()
	info, err := body.Stat()
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(GuestDir, "/") + "/program"
	if err := a.Parents(name); err != nil {
		return err
	}
	return a.Add(Entry{Name: name, Mode: typeFile | 0o755, Size: info.Size()}, io.Reader(body))
}
