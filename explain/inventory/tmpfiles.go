package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// readTmpfiles reads the lines of tmpfiles.d(5) that write a value to a file, types w and w+. Like
// systemd-sysctl, systemd-tmpfiles-setup.service comes before sysinit.target and skips a file that does
// not exist. Nothing orders the two.
func (r *reader) readTmpfiles() {
	if r.init != initSystemd {
		return
	}
	for _, f := range r.dropins(".conf", dropin.Dirs("tmpfiles.d")...) {
		text, found := r.scriptFile(f.Path)
		if !found || !strings.Contains(text, "conntrack") {
			continue
		}
		for number, line := range numbered(text) {
			words := splitExec(line)
			if len(words) < 7 || strings.Trim(words[0], "w+!-=") != "" {
				continue
			}
			s := script{
				Place: tree.Place{File: f.Path, Line: number}, oneLine: true, tool: "systemd-tmpfiles", phase: AtBoot,
				noEffect: hiddenReason(f),
			}
			name, _, _ := r.setting(strings.TrimPrefix(path.Clean(words[1]), "/proc/sys/"))
			if words[1] == hashsizeFile {
				name = "hashsize"
			}
			if slices.ContainsFunc(r.inv.Assignments, func(a Assignment) bool {
				return a.Name == name && a.Phase == AtBoot && a.NoEffect == ""
			}) {
				s.uncertain = "nothing orders systemd-tmpfiles and systemd-sysctl"
			}
			r.addWrite(s, s.Place, []string{strings.Join(words[6:], " ")}, words[1])
		}
	}
}
