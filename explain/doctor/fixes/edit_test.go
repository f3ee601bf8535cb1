package fixes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

// A literal matches itself, and nothing that a pattern would.
func TestLiteral(t *testing.T) {
	for _, text := range []string{"plain", "a.b", "a*b", "[ab]", "^a$", `a\b`, "a/b", "a+b?", "a{1}", "(a|b)", "&",
		"nf_conn*"} {
		cmd := exec.Command("sed", "-n", "/^"+Literal(text)+"$/p")
		cmd.Stdin = strings.NewReader(text + "\nab\na\nxb\naab\n")
		out, err := cmd.CombinedOutput()
		if want := text + "\n"; err != nil || string(out) != want {
			t.Errorf("%q as %s matches %q (%v), want %q", text, Literal(text), out, err, want)
		}
	}
}

func TestEdit(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, map[string]string{"etc/sysctl.conf": "a\n", "etc/modprobe.d/x.conf": "a\n",
		"usr/lib/sysctl.d/50-default.conf": "a\n", "etc/sysctl.d/.keep": ""})
	for name, target := range map[string]string{
		"etc/sysctl.d/99-sysctl.conf": "../sysctl.conf",
		"etc/sysctl.d/50-own.conf":    "/usr/lib/sysctl.d/50-default.conf",
		"etc/sysctl.d/loop.conf":      "loop.conf",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	const script = "s/a/b/"
	tests := map[string]string{
		"/etc/modprobe.d/x.conf":       "sed -i s/a/b/ /etc/modprobe.d/x.conf",
		"/etc/modprobe.d/no such.conf": "sed -i s/a/b/ '/etc/modprobe.d/no such.conf'",
		"/etc/sysctl.d/99-sysctl.conf": "sed -i s/a/b/ /etc/sysctl.conf",
		"/etc/sysctl.d/50-own.conf":    "sed -i s/a/b/ /etc/sysctl.d/50-own.conf",
		"/etc/sysctl.d/loop.conf":      "sed -i s/a/b/ /etc/sysctl.d/loop.conf",
		"/usr/lib/sysctl.d/50-default.conf": "mkdir -p /etc/sysctl.d && sed s/a/b/ /usr/lib/sysctl.d/50-default.conf " +
			"> /etc/sysctl.d/50-default.conf",
		"/lib/modprobe.d/a.conf": "mkdir -p /etc/modprobe.d && sed s/a/b/ /lib/modprobe.d/a.conf > " +
			"/etc/modprobe.d/a.conf",
		"/usr/local/lib/sysctl.d/a.conf": "mkdir -p /etc/sysctl.d && sed s/a/b/ /usr/local/lib/sysctl.d/a.conf > " +
			"/etc/sysctl.d/a.conf",
		"/run/sysctl.d/a.conf": "mkdir -p /etc/sysctl.d && sed s/a/b/ /run/sysctl.d/a.conf > " +
			"/etc/sysctl.d/a.conf",
	}
	h := &picture.Host{}
	for file := range tests {
		h.Env.Overrides = append(h.Env.Overrides, finding.Seen(file, 1, ""))
	}
	h.ReadFiles(tree.At(root))
	for file, want := range tests {
		if diff := cmp.Diff(want, Edit(h, file, script)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}
