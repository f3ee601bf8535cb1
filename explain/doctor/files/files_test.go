package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

type errTest string

func (e errTest) Error() string { return string(e) }

// troubleOf makes a loop of links, and returns the error of reading it.
func troubleOf(t *testing.T, host tree.Tree, root, path string) error {
	t.Helper()
	if err := os.Symlink(filepath.Base(path), filepath.Join(root, path)); err != nil {
		t.Fatal(err)
	}
	_, err := host.Read(path, 1)
	return err
}

func TestFilesUnreadable(t *testing.T) {
	h := doctortest.Owned(t)
	root := t.TempDir()
	host := tree.At(root)
	kerneltree.Put(t, root, "etc/modprobe.d/odd name.conf/x", "")
	_, isDir := host.Read("/etc/modprobe.d/odd name.conf", 1)
	loop := troubleOf(t, host, root, "/etc/modprobe.d/loop.conf")
	doctortest.Put(t, root, map[string]string{"etc/sysctl.d/big.conf": "0123456789",
		"etc/sysctl.d/line.conf": "no assignment\n", "etc/sysctl.d/lost.conf": "nf_conntrack_max 5\n"})
	_, large := host.Read("/etc/sysctl.d/big.conf", 1)
	h.Inventory.Troubles = []tree.Trouble{
		{Place: tree.Place{File: "/etc/modprobe.d/odd name.conf"}, Err: isDir},
		{Place: tree.Place{File: "/etc/modprobe.d/loop.conf"}, Err: loop},
		{Place: tree.Place{File: "/etc/sysctl.d/big.conf"}, Err: large},
		{Place: tree.Place{File: "/etc/sysctl.d/line.conf", Line: 1}, Err: errTest("is not an assignment")},
		{Place: tree.Place{File: "/etc/sysctl.d/lost.conf", Line: 1}, Err: errTest("is not an assignment")},
	}
	h.Inventory.Modprobe.Troubles = h.Inventory.Troubles[:1] // reported once
	h.ReadFiles(host)
	doctortest.Check(t, Check(h), []finding.Finding{
		{
			ID: "file-unreadable", Severity: finding.Warning,
			Summary:  "/etc/modprobe.d/odd name.conf is a directory where a file is expected: its content is not read",
			Evidence: []finding.Evidence{finding.Seen("/etc/modprobe.d/odd name.conf", 0, "is a directory")},
			Fix: []finding.Step{
				change.Run("mv", "/etc/modprobe.d/odd name.conf", "/etc/modprobe.d/odd name.conf.d"),
			},
		},
		{
			ID: "file-unreadable", Severity: finding.Warning,
			Summary: "/etc/modprobe.d/loop.conf is a loop of symbolic links: nothing can read it",
			Evidence: []finding.Evidence{finding.Seen("/etc/modprobe.d/loop.conf", 0,
				"too many levels of symbolic links")},
			Fix: doctortest.Commands("rm /etc/modprobe.d/loop.conf"),
		},
		{
			ID: "file-unreadable", Severity: finding.Warning,
			Summary:  "/etc/sysctl.d/big.conf is too large for a configuration file, and was not read",
			Evidence: []finding.Evidence{finding.Seen("/etc/sysctl.d/big.conf", 0, "file too large")},
			Note:     "Find out what wrote it, and replace it by a short file.",
		},
		{
			ID: "file-unreadable", Severity: finding.Info,
			Summary: "a line of /etc/sysctl.d/line.conf cannot be parsed",
			Evidence: []finding.Evidence{finding.Seen("/etc/sysctl.d/line.conf", 1,
				"no assignment (is not an assignment)")},
			Note: "Correct or remove it. The rest of the file is used.",
		},
		{
			ID: "file-unreadable", Severity: finding.Warning,
			Summary: "a line of /etc/sysctl.d/lost.conf cannot be parsed",
			Evidence: []finding.Evidence{finding.Seen("/etc/sysctl.d/lost.conf", 1,
				"nf_conntrack_max 5 (is not an assignment)")},
			Note: "Correct or remove it. The rest of the file is used.",
		},
	})
}

// TestFilesThatAreNotText: each has a command that repairs it, or a note on what to do.
func TestFilesThatAreNotText(t *testing.T) {
	binary := errTest("binary file")
	h := doctortest.Owned(t)
	h.Inventory.Troubles = []tree.Trouble{
		{Place: tree.Place{File: "/etc/sysctl.d/x.conf"}, Err: binary},
		{Place: tree.Place{File: "/lib/modules/6.1.0/modules.dep"}, Err: binary},
		{Place: tree.Place{File: "/etc/modprobe.d/x.conf"}, Err: &fs.PathError{Op: "open",
			Path: "/etc/modprobe.d/x.conf", Err: fs.ErrPermission}},
	}
	doctortest.Check(t, Check(h), []finding.Finding{
		{
			ID: "file-unreadable", Severity: finding.Warning, Summary: "/etc/sysctl.d/x.conf cannot be read, and may " +
				"contain settings",
			Evidence: []finding.Evidence{finding.Seen("/etc/sysctl.d/x.conf", 0, "binary file")},
			Note:     "Find out what wrote it, and replace it by a correct file, or remove it.",
		},
		{
			ID: "file-unreadable", Severity: finding.Warning, Summary: "/lib/modules/6.1.0/modules.dep cannot be " +
				"read, and may contain settings",
			Evidence: []finding.Evidence{finding.Seen("/lib/modules/6.1.0/modules.dep", 0,
				"binary file")}, Fix: doctortest.Commands("depmod -a 6.1.0"),
		},
		{
			ID: "file-unreadable", Severity: finding.Info, Summary: "/etc/modprobe.d/x.conf cannot be read, and may " +
				"contain settings",
			Evidence: []finding.Evidence{finding.Seen("/etc/modprobe.d/x.conf", 0,
				"permission denied")}, Note: "Run ctkeeper doctor as root.",
		},
	})
}
