package doctortest

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const maxApplied = 1 << 20 // bytes of a file

// Apply takes the steps of a fix on the host below root, and reports whether it could take all of them. It edits
// and writes files, and does what a command would change on the disk. What only changes the running system, such as
// modprobe(8), counts as taken; what it does not know, such as a package manager, does not.
func Apply(t *testing.T, root string, steps []finding.Step) bool {
	t.Helper()
	host, all := tree.At(root), true
	for _, s := range steps {
		done, err := true, error(nil)
		switch {
		case s.Obstacle != "":
			done = false
		case s.Edit != nil:
			err = applyEdit(host, *s.Edit)
		case s.Write != nil:
			err = replace(host, s.Write.File, s.Write.Content)
		default:
			done, err = run(host, s.Command)
		}
		if err != nil {
			t.Fatalf("%s: %v", change.Render([]finding.Step{s}, ""), err)
		}
		all = all && done
	}
	return all
}

// applyEdit makes an edit. An edit that was made before changes nothing, as with patch(1).
func applyEdit(host tree.Tree, e change.Edit) error {
	content, err := host.Read(e.File, maxApplied)
	if err != nil && (e.Old != "" || !host.Gone(e.File)) {
		return err
	}
	text := change.NewText(e.File, string(content))
	lines := text.Lines
	switch {
	case e.Line == len(lines)+1 && e.Old == "":
		lines = append(lines, e.New)
	case e.Line < 1 || e.Line > len(lines):
		return fmt.Errorf("%s has %d lines, and not a line %d", e.File, len(lines), e.Line)
	case lines[e.Line-1] == e.New: // made before
	case lines[e.Line-1] != e.Old:
		return fmt.Errorf("line %d is %q, not %q", e.Line, lines[e.Line-1], e.Old)
	case e.New == "":
		lines = slices.Delete(lines, e.Line-1, e.Line)
	default:
		lines[e.Line-1] = e.New
	}
	after := strings.Join(lines, "\n")
	if !text.Unterminated || e.Unterminated {
		after += "\n"
	}
	return replace(host, e.File, after)
}

// replace writes a file through its links, as a shell does.
func replace(host tree.Tree, file, content string) error {
	if target, _, err := host.Resolve(file); err == nil {
		file = target
	}
	return host.Replace(file, []byte(content), 0o644)
}

// run does what a command changes on the disk.
func run(host tree.Tree, command []string) (done bool, err error) {
	last := command[len(command)-1]
	const wantsLink = "/etc/systemd/system/multi-user.target.wants/ctkeeper.service"
	switch words := strings.Join(command, " "); {
	case command[0] == "install":
		source, target := command[len(command)-2], last
		if slices.Contains(command, "-t") {
			source, target = last, path.Join(source, path.Base(last))
		}
		content, err := host.Read(source, maxApplied)
		if err != nil {
			return false, err
		}
		return true, host.Replace(target, content, 0o644)
	case command[0] == "rm":
		_, err := host.Remove(last)
		return true, err
	case words == "ctkeeper import --write":
		made, err := importer.New(host, inventory.Read(host))
		if err != nil {
			return false, err
		}
		_, err = made.Write(host)
		return true, err
	case words == systemd.GuardStep:
		return true, host.Replace(systemd.GuardDropIn, systemd.GuardConf, 0o644)
	case strings.HasPrefix(words, "ctkeeper persist"):
		// The rule runs systemd-sysctl, which a collected tree does not have.
		err := replace(host, "/usr/lib/systemd/systemd-sysctl", "")
		return true, errors.Join(err, writeBootFiles(host, persist.Options{Udev: last == "--udev"}))
	case strings.HasPrefix(words, "systemctl enable"):
		return true, replace(host, wantsLink, "")
	case words == "systemctl unmask ctkeeper":
		_, err := host.Remove("/etc/systemd/system/ctkeeper.service")
		return true, err
	}
	return slices.Contains([]string{
		"modprobe", "chmod", "systemctl", "ctkeeper", "reboot", "update-grub", "grub2-mkconfig", "update-extlinux",
	}, command[0]), nil
}

func writeBootFiles(host tree.Tree, opts persist.Options) error {
	cfg, err := config.Source{Root: host.Root()}.Load()
	if err != nil {
		return err
	}
	plan, err := persist.NewPlan(host, cfg, opts)
	if err != nil {
		return err
	}
	_, err = plan.Write(host)
	return err
}
