package distro

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const argument = "nf_conntrack.hashsize=65536"

const (
	grubLine     = `GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX nf_conntrack.hashsize=65536"`
	extlinuxLine = `default_kernel_opts="$default_kernel_opts nf_conntrack.hashsize=65536"`
)

// added is the diff that adds a line to a file of one line, or an argument to the line.
func added(file, line string) []string {
	if line == "" {
		return []string{"--- " + file, "+++ " + file, "@@ -1 +1 @@", "-x", "+x nf_conntrack.hashsize=65536"}
	}
	return []string{"--- " + file, "+++ " + file, "@@ -1,0 +2 @@", "+" + line}
}

var grubbyAdds = []string{"grubby --update-kernel=ALL --args=nf_conntrack.hashsize=65536"}

// bootConfigs are the boot files of hosts, each with the file and the steps that add an argument.
var bootConfigs = []struct {
	name         string
	distribution Distribution
	files        []string
	file         string
	commands     []string
}{
	{"Debian", debian12, []string{"etc/default/grub"}, "/etc/default/grub",
		append(added("/etc/default/grub", grubLine), "update-grub")},
	{"Debian with systemd-boot", debian12, []string{"etc/kernel/cmdline"}, "/etc/kernel/cmdline",
		append(added("/etc/kernel/cmdline", ""),
			`sh -c 'for kernel in /boot/vmlinuz-*; do kernel-install add "${kernel#/boot/vmlinuz-}" "$kernel"; done'`)},
	{"Proxmox", debian12, []string{"etc/default/grub", "etc/kernel/cmdline", "etc/kernel/proxmox-boot-uuids"},
		"/etc/kernel/cmdline",
		append(added("/etc/kernel/cmdline", ""), "proxmox-boot-tool refresh")},
	{"Raspberry Pi", debian12, []string{"boot/firmware/cmdline.txt", "boot/firmware/config.txt"},
		"/boot/firmware/cmdline.txt",
		added("/boot/firmware/cmdline.txt", "")},
	{
		"older Raspberry Pi", raspbian, []string{"boot/cmdline.txt", "boot/config.txt"}, "/boot/cmdline.txt",
		added("/boot/cmdline.txt", ""),
	},
	{"CentOS 6", centos6, []string{"boot/grub/grub.conf"}, "/boot/grub/grub.conf", grubbyAdds},
	{"CentOS 7", centos7, []string{"etc/default/grub"}, "/etc/default/grub", grubbyAdds},
	{
		"Fedora", fedora, []string{"etc/default/grub", "boot/loader/entries/x.conf", "etc/kernel/cmdline"},
		"/boot/loader/entries", grubbyAdds,
	},
	{"Amazon", amazon, []string{"etc/default/grub", "usr/sbin/grubby"}, "/etc/default/grub", grubbyAdds},
	{
		"openSUSE", leap, []string{"etc/default/grub"}, "/etc/default/grub",
		append(added("/etc/default/grub", grubLine), "grub2-mkconfig -o /boot/grub2/grub.cfg"),
	},
	{
		"Arch", archOS, []string{"etc/default/grub"}, "/etc/default/grub",
		append(added("/etc/default/grub", grubLine), "grub-mkconfig -o /boot/grub/grub.cfg"),
	},
	{
		"Arch with one file for the kernel", archOS, []string{"etc/kernel/cmdline"}, "/etc/kernel/cmdline",
		append(added("/etc/kernel/cmdline", ""), "mkinitcpio -P"),
	},
	{"Alpine", alpineOS, []string{"etc/update-extlinux.conf"}, "/etc/update-extlinux.conf",
		append(added("/etc/update-extlinux.conf", extlinuxLine), "update-extlinux")},
	{
		"Alpine with grub", alpineOS, []string{"etc/default/grub"}, "/etc/default/grub",
		append(added("/etc/default/grub", grubLine), "grub-mkconfig -o /boot/grub/grub.cfg"),
	},
	{"nothing known", debian12, nil, "", nil},
}

func TestAddArgument(t *testing.T) {
	for _, test := range bootConfigs {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for _, name := range test.files {
				kerneltree.Put(t, root, name, "x\n")
			}
			boot := test.distribution.ReadBootConfig(tree.At(root))
			if boot.File() != test.file {
				t.Errorf("file %q, want %q", boot.File(), test.file)
			}
			steps := boot.Change(nil, []string{argument})
			if test.file == "" {
				if len(steps) != 1 || steps[0].Obstacle == "" {
					t.Errorf("steps %v", steps)
				}
				return
			}
			if diff := cmp.Diff(test.commands, change.Render(steps, "")); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHostileArguments: an argument from a foreign command line never becomes a command.
func TestHostileArguments(t *testing.T) {
	root := t.TempDir()
	kerneltree.Put(t, root, "etc/default/grub", "")
	for _, hostile := range []string{
		"", "a=$(reboot)", "a=`reboot`", "a b", `a="b"`, "a'b", "a;b", "a\nb", "-e", "a\\b", "a&b", "a*",
	} {
		boot := debian12.ReadBootConfig(tree.At(root))
		for _, steps := range [][]change.Step{
			boot.Change([]string{hostile}, nil), boot.Change(nil, []string{hostile}),
		} {
			if len(steps) != 1 || steps[0].Obstacle == "" {
				t.Errorf("%q is changed by %v", hostile, steps)
			}
		}
	}
}

// edit makes the edits among steps.
func edit(t *testing.T, root string, steps []change.Step) {
	t.Helper()
	for _, s := range steps {
		if s.Edit == nil {
			continue
		}
		lines := change.NewText(s.Edit.File, read(t, root, s.Edit.File)).Lines
		if i := s.Edit.Line - 1; i < len(lines) {
			if lines[i] != s.Edit.Old {
				t.Fatalf("line %d is %q, want %q", s.Edit.Line, lines[i], s.Edit.Old)
			}
			lines[i] = s.Edit.New
		} else {
			lines = append(lines, s.Edit.New)
		}
		kerneltree.Put(t, root, s.Edit.File, strings.Join(lines, "\n")+"\n")
	}
}

func read(t *testing.T, root, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAddAndRemove(t *testing.T) {
	const quiet = "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT='quiet'\nGRUB_CMDLINE_LINUX=\"\"\n# end\n"
	tests := []struct {
		name, file, before, want, removed string
		distribution                      Distribution
	}{
		{
			"grub", "/etc/default/grub", quiet,
			quiet + grubLine + "\n", quiet + "# " + grubLine + "\n", debian12,
		},
		{"extlinux", "/etc/update-extlinux.conf", "default_kernel_opts=\"quiet\"\n",
			"default_kernel_opts=\"quiet\"\n" + extlinuxLine + "\n",
			"default_kernel_opts=\"quiet\"\n# " + extlinuxLine + "\n", alpineOS},
		{"file", "/etc/kernel/cmdline", "root=/dev/sda1 quiet\n", "root=/dev/sda1 quiet " + argument + "\n",
			"root=/dev/sda1 quiet \n", debian12},
		{"file without an end of line", "/etc/kernel/cmdline", "quiet", "quiet " + argument + "\n",
			"quiet \n", debian12},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			kerneltree.Put(t, root, test.file, test.before)
			for range 2 { // the second time it is there
				edit(t, root, test.distribution.ReadBootConfig(tree.At(root)).Change(nil, []string{argument}))
				if diff := cmp.Diff(test.want, read(t, root, test.file)); diff != "" {
					t.Errorf("added (-want +got):\n%s", diff)
				}
			}
			for range 2 {
				edit(t, root, test.distribution.ReadBootConfig(tree.At(root)).Change([]string{argument}, nil))
				if diff := cmp.Diff(test.removed, read(t, root, test.file)); diff != "" {
					t.Errorf("removed again (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestRemoveWhatSomebodyElseAdded(t *testing.T) {
	const word = "module_blacklist=nf_conntrack"
	tests := []struct{ name, file, before, want string }{
		{"alone", "/etc/default/grub", `GRUB_CMDLINE_LINUX="module_blacklist=nf_conntrack"`, `GRUB_CMDLINE_LINUX=""`},
		{"unquoted", "/etc/default/grub", `GRUB_CMDLINE_LINUX=module_blacklist=nf_conntrack`, `GRUB_CMDLINE_LINUX=`},
		{
			"single quotes", "/etc/default/grub", `GRUB_CMDLINE_LINUX_DEFAULT='quiet module_blacklist=nf_conntrack'`,
			`GRUB_CMDLINE_LINUX_DEFAULT='quiet '`,
		},
		{
			"twice", "/etc/default/grub",
			`GRUB_CMDLINE_LINUX="module_blacklist=nf_conntrack module_blacklist=nf_conntrack x"`,
			`GRUB_CMDLINE_LINUX="  x"`,
		},
		{"neighbours stay", "/etc/default/grub",
			`GRUB_CMDLINE_LINUX="a module_blacklist=nf_conntrack,b module_blacklist=nf_conntrack_sip ` +
				`xmodule_blacklist=nf_conntrack"`,
			`GRUB_CMDLINE_LINUX="a module_blacklist=nf_conntrack,b module_blacklist=nf_conntrack_sip ` +
				`xmodule_blacklist=nf_conntrack"`},
		{"comments stay", "/etc/default/grub", `# module_blacklist=nf_conntrack`, `# module_blacklist=nf_conntrack`},
		{
			"drop-in", "/etc/default/grub.d/50-x.cfg",
			`GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX a module_blacklist=nf_conntrack b"`,
			`GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX a  b"`,
		},
		{"file", "/etc/kernel/cmdline", "module_blacklist=nf_conntrack quiet module_blacklist=nf_conntrack", " quiet "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			if strings.Contains(test.file, "grub") {
				kerneltree.Put(t, root, "etc/default/grub", "")
			}
			kerneltree.Put(t, root, test.file, test.before+"\n")
			edit(t, root, debian12.ReadBootConfig(tree.At(root)).Change([]string{word}, nil))
			if diff := cmp.Diff(test.want+"\n", read(t, root, test.file)); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRemoveByGrubby(t *testing.T) {
	steps := centos6.ReadBootConfig(tree.At(t.TempDir())).Change([]string{argument}, nil)
	want := []string{"grubby --update-kernel=ALL --remove-args=nf_conntrack.hashsize=65536"}
	if diff := cmp.Diff(want, change.Render(steps, "")); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// What grub's script sees in the end is what counts.
func TestGrubSeesTheArgument(t *testing.T) {
	root := t.TempDir()
	kerneltree.Put(t, root, "etc/default/grub", "GRUB_CMDLINE_LINUX='quiet splash'\n")
	edit(t, root, debian12.ReadBootConfig(tree.At(root)).Change(nil, []string{argument}))
	out, err := exec.Command("sh", "-c", ". "+filepath.Join(root, grubFile)+"; echo $GRUB_CMDLINE_LINUX").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(string(out)), "quiet splash "+argument; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
