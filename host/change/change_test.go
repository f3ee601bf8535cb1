package change_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

func edit(file string, line int, old, text string) change.Step {
	return change.Step{Edit: &change.Edit{File: file, Line: line, Old: old, New: text}}
}

func TestRender(t *testing.T) {
	const file = "/etc/sysctl.d/a.conf"
	steps := []change.Step{
		change.Run("modprobe", "nf_conntrack;reboot"),
		edit(file, 2, "b = 1", "b = 2"), edit(file, 4, "", "d"), edit("/etc/b c", 1, "x", ""),
		{Edit: &change.Edit{File: "/etc/d", Line: 1, Old: "x", New: "y", Unterminated: true}},
		edit("/etc/e", 3, "x = $(reboot)", "# x = $(reboot)"), edit("/etc/e", 5, "y", "# y"),
		change.WriteFile("/proc/sys/net/netfilter/nf_conntrack_max", "65536"),
		change.WriteFile("/etc/ctkeeper/conf.d/60-max.yaml", "settings:", "  max: 1"),
	}
	want := []string{
		"  modprobe 'nf_conntrack;reboot'",
		"--- " + file, "+++ " + file, "@@ -2 +2 @@", "-b = 1", "+b = 2", "@@ -3,0 +4 @@", "+d",
		"--- /etc/b c\t", "+++ /etc/b c\t", "@@ -1 +0,0 @@", "-x",
		"--- /etc/d", "+++ /etc/d", "@@ -1 +1 @@", "-x", `\ No newline at end of file`, "+y",
		"  sed -i '3s/^[^#]/# &/;5s/^[^#]/# &/' /etc/e",
		"  echo 65536 > /proc/sys/net/netfilter/nf_conntrack_max",
		`  mkdir -p /etc/ctkeeper/conf.d && printf '%s\n' settings: '  max: 1' > /etc/ctkeeper/conf.d/60-max.yaml`,
	}
	if diff := cmp.Diff(want, change.Render(steps, "  ")); diff != "" {
		t.Errorf("rendered (-want +got):\n%s", diff)
	}
}

// TestPatch applies a rendered diff with patch(1), with other text before it.
func TestPatch(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		netns.Cannot(t, "no patch: apt-get install patch")
	}
	const name = "/etc/a b.conf"
	tests := map[string]struct {
		before, after string
		edits         []change.Step
	}{
		"lines": {"a\nb\n\tc\nd\n", "A\nB\n#\tc\nd\n", []change.Step{
			edit(name, 1, "a", "A"), edit(name, 2, "b", "B"), edit(name, 3, "\tc", "#\tc"),
		}},
		"equal lines":       {"a\na\na\n", "a\na\nb\n", []change.Step{edit(name, 3, "a", "b")}},
		"removed and added": {"a\nb\n", "b\nc\n", []change.Step{edit(name, 1, "a", ""), edit(name, 3, "", "c")}},
		"without end of line": {"a\nb", "a\nB\n", []change.Step{
			{Edit: &change.Edit{File: name, Line: 2, Old: "b", New: "B", Unterminated: true}},
		}},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(test.before), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("patch", "-p1", "-d", root)
			cmd.Stdin = strings.NewReader("fix:\n" + strings.Join(change.Render(test.edits, "  "), "\n") + "\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			after, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, string(after)); diff != "" {
				t.Errorf("patched (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIsPlain(t *testing.T) {
	for _, line := range []string{"", "a\tb", "größe = 1"} {
		if !change.IsPlain(line) {
			t.Errorf("%q is not plain", line)
		}
	}
	for _, line := range []string{"a\x1b[31m", "a\r", "a\u202eb", "a\u200bb", "a\u00a0b", "a\xffb", "a\nb"} {
		if change.IsPlain(line) {
			t.Errorf("%q is plain", line)
		}
	}
}

func TestIsHarmless(t *testing.T) {
	for _, line := range []string{
		"options nf_conntrack hashsize=1", `GRUB_CMDLINE_LINUX="quiet a=1"`, "net/netfilter/x = 5 # größe", "a='b c'",
		"",
		`A="$A b=1"`,
	} {
		if !change.IsHarmless(line) {
			t.Errorf("%q is not harmless", line)
		}
	}
	for _, line := range []string{
		"a = 1;reboot", "$(reboot)", "${a:=b}", "`reboot`", "a & b", "a | b",
		"a > /etc/passwd", "a < b", `a = "b`, "a = 'b", "!1",
		`"a" '$(reboot)'`, `a\`, "{a}", "(a)",
	} {
		if change.IsHarmless(line) {
			t.Errorf("%q is harmless", line)
		}
	}
}
