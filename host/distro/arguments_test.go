package distro

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const argument = "nf_conntrack.hashsize=65536"

const addGrub = `grep -qxF 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX nf_conntrack.hashsize=65536"' ` +
	`/etc/default/grub || ` +
	`echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX nf_conntrack.hashsize=65536"' >> /etc/default/grub`

// inFile returns the command that adds argument to the first line of a file.
func inFile(file string) string {
	return `grep -qE '(^| )nf_conntrack\.hashsize=65536( |$)' ` + file +
		` || sed -i '1s/[[:space:]]*$/ nf_conntrack.hashsize=65536/' ` + file
}

var grubby = []string{"grubby --update-kernel=ALL --args=nf_conntrack.hashsize=65536"}

// bootConfigs are the boot files of hosts, each with the file and commands that AddArgument returns.
var bootConfigs = []struct {
	name         string
	distribution Distribution
	files        []string
	file         string
	commands     []string
}{
	{"Debian", debian12, []string{"etc/default/grub"}, "/etc/default/grub", []string{addGrub, "update-grub"}},
	{"Debian with systemd-boot", debian12, []string{"etc/kernel/cmdline"}, "/etc/kernel/cmdline", []string{
		inFile("/etc/kernel/cmdline"),
		`for kernel in /boot/vmlinuz-*; do ` +
			`kernel-install add "${kernel#/boot/vmlinuz-}" "$kernel"; done`,
	}},
	{"Proxmox", debian12, []string{"etc/default/grub", "etc/kernel/cmdline", "etc/kernel/proxmox-boot-uuids"},
		"/etc/kernel/cmdline",
		[]string{inFile("/etc/kernel/cmdline"), "proxmox-boot-tool refresh"}},
	{"Raspberry Pi", debian12, []string{"boot/firmware/cmdline.txt", "boot/firmware/config.txt"},
		"/boot/firmware/cmdline.txt",
		[]string{inFile("/boot/firmware/cmdline.txt")}},
	{
		"older Raspberry Pi", raspbian, []string{"boot/cmdline.txt", "boot/config.txt"}, "/boot/cmdline.txt",
		[]string{inFile("/boot/cmdline.txt")},
	},
	{"CentOS 6", centos6, []string{"boot/grub/grub.conf"}, "/boot/grub/grub.conf", grubby},
	{"CentOS 7", centos7, []string{"etc/default/grub"}, "/etc/default/grub", grubby},
	{
		"Fedora", fedora, []string{"etc/default/grub", "boot/loader/entries/x.conf", "etc/kernel/cmdline"},
		"/boot/loader/entries", grubby,
	},
	{"Amazon", amazon, []string{"etc/default/grub", "usr/sbin/grubby"}, "/etc/default/grub", grubby},
	{
		"openSUSE", leap, []string{"etc/default/grub"}, "/etc/default/grub",
		[]string{addGrub, "grub2-mkconfig -o /boot/grub2/grub.cfg"},
	},
	{
		"Arch", archOS, []string{"etc/default/grub"}, "/etc/default/grub",
		[]string{addGrub, "grub-mkconfig -o /boot/grub/grub.cfg"},
	},
	{
		"Arch with one file for the kernel", archOS, []string{"etc/kernel/cmdline"}, "/etc/kernel/cmdline",
		[]string{inFile("/etc/kernel/cmdline"), "mkinitcpio -P"},
	},
	{"Alpine", alpineOS, []string{"etc/update-extlinux.conf"}, "/etc/update-extlinux.conf", []string{
		`grep -qxF 'default_kernel_opts="$default_kernel_opts nf_conntrack.hashsize=65536"' ` +
			`/etc/update-extlinux.conf || ` +
			`echo 'default_kernel_opts="$default_kernel_opts nf_conntrack.hashsize=65536"' ` +
			`>> /etc/update-extlinux.conf`, "update-extlinux",
	}},
	{
		"Alpine with grub", alpineOS, []string{"etc/default/grub"}, "/etc/default/grub",
		[]string{addGrub, "grub-mkconfig -o /boot/grub/grub.cfg"},
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
			file, commands := test.distribution.ReadBootConfig(tree.At(root)).AddArgument(argument)
			if file != test.file {
				t.Errorf("file %q, want %q", file, test.file)
			}
			if diff := cmp.Diff(test.commands, commands); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
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
		if _, commands := debian12.ReadBootConfig(tree.At(root)).AddArgument(hostile); commands != nil {
			t.Errorf("%q is added by %q", hostile, commands)
		}
		if _, commands := debian12.ReadBootConfig(tree.At(root)).RemoveArgument(hostile); commands != nil {
			t.Errorf("%q is removed by %q", hostile, commands)
		}
	}
}

// sh runs the first command on the tree's file, as the host would on its own.
func sh(t *testing.T, root, file string, commands []string) {
	t.Helper()
	command := strings.ReplaceAll(commands[0], file, filepath.Join(root, file))
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
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
		name, file, before, want string
		distribution             Distribution
	}{
		{
			"grub", "/etc/default/grub", quiet,
			quiet + `GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ` + argument + "\"\n", debian12,
		},
		{"extlinux", "/etc/update-extlinux.conf", "default_kernel_opts=\"quiet\"\n",
			"default_kernel_opts=\"quiet\"\ndefault_kernel_opts=\"$default_kernel_opts " + argument + "\"\n", alpineOS},
		{"file", "/etc/kernel/cmdline", "root=/dev/sda1 quiet\n", "root=/dev/sda1 quiet " + argument + "\n", debian12},
		{"file without an end of line", "/etc/kernel/cmdline", "quiet", "quiet " + argument, debian12},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			kerneltree.Put(t, root, test.file, test.before)
			for range 2 { // the second time it is there
				file, commands := test.distribution.ReadBootConfig(tree.At(root)).AddArgument(argument)
				sh(t, root, file, commands)
				if diff := cmp.Diff(test.want, read(t, root, test.file)); diff != "" {
					t.Errorf("added (-want +got):\n%s", diff)
				}
			}
			for range 2 {
				file, commands := test.distribution.ReadBootConfig(tree.At(root)).RemoveArgument(argument)
				sh(t, root, file, commands)
				got := strings.TrimRight(read(t, root, test.file), " \n")
				if diff := cmp.Diff(strings.TrimRight(test.before, " \n"), got); diff != "" {
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
			file, commands := debian12.ReadBootConfig(tree.At(root)).RemoveArgument(word)
			if file != test.file {
				t.Fatalf("looks in %s", file)
			}
			sh(t, root, file, commands)
			if diff := cmp.Diff(test.want+"\n", read(t, root, test.file)); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRemoveByGrubby(t *testing.T) {
	_, commands := centos6.ReadBootConfig(tree.At(t.TempDir())).RemoveArgument(argument)
	want := []string{"grubby --update-kernel=ALL --remove-args=nf_conntrack.hashsize=65536"}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// What grub's script sees in the end is what counts.
func TestGrubSeesTheArgument(t *testing.T) {
	root := t.TempDir()
	kerneltree.Put(t, root, "etc/default/grub", "GRUB_CMDLINE_LINUX='quiet splash'\n")
	file, commands := debian12.ReadBootConfig(tree.At(root)).AddArgument(argument)
	sh(t, root, file, commands)
	out, err := exec.Command("sh", "-c", ". "+filepath.Join(root, file)+"; echo $GRUB_CMDLINE_LINUX").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(string(out)), "quiet splash "+argument; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
