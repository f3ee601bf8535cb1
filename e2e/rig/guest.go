package rig

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// GuestDir is the guest's directory of its program, which has it in CTKEEPER_E2E_DIR.
const GuestDir = "/usr/lib/ctkeeper-e2e"

const guestUnit = "e2e-scenarios.service"

// A Guest is what one run adds to the root: a program, which systemd runs once when the system is up, and the files
// that it tests.
type Guest struct {
	Trees   map[string]string // host directory → directory in the guest
	Files   map[string]string // path in the guest → content
	Program string            // host path of the program
	Args    []string          // its arguments
	Enable  []string          // units to enable, as `systemctl enable` does
	Kernel  string            // more of the kernel's command line
}

// scenarioUnit runs the program with its output on the second serial port, so that no lines of the kernel and of
// systemd mix with it. The journal goes to the third. The message catalog is updated as a package's trigger would;
// users and temporary files are made by Debian's own units at boot. With OOMScoreAdjust the reporting process is the
// last one to be killed.
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

// masked are units that no scenario needs and that take time of an emulated processor, or that run at a time of their
// own and disturb a scenario.
var masked = []string{
	"serial-getty@ttyS0.service", "getty@tty1.service", "getty-static.service", "systemd-hwdb-update.service",
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
	"fstrim.timer", "systemd-tmpfiles-clean.timer", "systemd-timesyncd.service", "systemd-networkd.service",
	"systemd-networkd-wait-online.service", "logrotate.timer", "systemd-pstore.service",
}

// journaldConf keeps every journal entry, because scenarios count them, and forwards none.
const journaldConf = `[Journal]
Storage=volatile
RateLimitBurst=0
ForwardToConsole=no
ForwardToWall=no
RuntimeMaxUse=200M
`

// archive writes the overlay.
func (g Guest) archive(file string) error {
	tree := file + ".tree"
	defer os.RemoveAll(tree)
	for dir, to := range g.Trees {
		if err := os.CopyFS(filepath.Join(tree, to), os.DirFS(dir)); err != nil {
			return err
		}
	}
	for name, content := range g.files() {
		if err := writeFile(filepath.Join(tree, name), content); err != nil {
			return err
		}
	}
	links, err := g.links(tree)
	if err != nil {
		return err
	}
	for name, target := range links {
		if err := writeLink(filepath.Join(tree, name), target); err != nil {
			return err
		}
	}
	if _, err := output("install", g.Program, filepath.Join(tree, GuestDir, "program")); err != nil {
		return err
	}
	return writeArchive(tree, file)
}

// files returns the contents of the overlay's files by path: those of the rig and those of the guest.
func (g Guest) files() map[string]string {
	start := "exec " + GuestDir + "/program"
	for _, arg := range g.Args {
		start += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	files := map[string]string{
		"/etc/hostname":                         "guest\n",
		"/etc/fstab":                            "",
		"/etc/machine-id":                       "0123456789abcdef0123456789abcdef\n",
		"/etc/systemd/system/" + guestUnit:      scenarioUnit,
		"/etc/systemd/journald.conf.d/e2e.conf": journaldConf,
		GuestDir + "/start":                     start + " >/dev/ttyS1 2>&1\n",
	}
	for name, content := range g.Files {
		files[name] = content
	}
	return files
}

// links returns the targets of the overlay's symbolic links by path: the default target, and units that are masked or
// enabled.
func (g Guest) links(tree string) (map[string]string, error) {
	links := map[string]string{
		"/etc/systemd/system/default.target":                       "/usr/lib/systemd/system/multi-user.target",
		"/etc/systemd/system/multi-user.target.wants/" + guestUnit: "../" + guestUnit,
	}
	for _, unit := range masked {
		links["/etc/systemd/system/"+unit] = "/dev/null"
	}
	for _, unit := range g.Enable {
		installed := path.Join("/usr/lib/systemd/system", unit)
		content, err := os.ReadFile(filepath.Join(tree, installed))
		if err != nil {
			return nil, fmt.Errorf("cannot enable %s: %w", unit, err)
		}
		_, targets, found := strings.Cut(string(content), "\nWantedBy=")
		if !found {
			return nil, fmt.Errorf("cannot enable %s: it has no WantedBy=", unit)
		}
		targets, _, _ = strings.Cut(targets, "\n")
		for target := range strings.FieldsSeq(targets) {
			links[path.Join("/etc/systemd/system", target+".wants", unit)] = installed
		}
	}
	return links, nil
}
