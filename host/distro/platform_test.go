package distro

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

func TestContainer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		// want is the kind, file what shows it.
		want, file string
	}{
		{"OpenVZ", map[string]string{"proc/vz/veinfo": "", "proc/user_beancounters": "Version: 2.5\n"},
			"OpenVZ", "/proc/vz"},
		{"an OpenVZ host",
			map[string]string{"proc/vz/veinfo": "", "proc/bc/resources": "", "proc/user_beancounters": ""}, "", ""},
		{"LXC by init's environment", map[string]string{"proc/1/environ": "TERM=linux\x00container=lxc\x00"},
			"lxc", "/proc/1/environ"},
		{"systemd-nspawn", map[string]string{"run/systemd/container": "systemd-nspawn\n"},
			"systemd-nspawn", "/run/systemd/container"},
		{"docker", map[string]string{".dockerenv": ""}, "docker", "/.dockerenv"},
		{"podman", map[string]string{"run/.containerenv": ""}, "podman", "/run/.containerenv"},
		{"WSL 1", map[string]string{"proc/sys/kernel/osrelease": "4.4.0-19041-Microsoft\n"},
			"WSL 1", "/proc/sys/kernel/osrelease"},
		{"WSL 2", map[string]string{"proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n",
			"proc/1/environ": "container=wsl\x00"}, "", ""},
		{"a virtual machine of LXD", map[string]string{"dev/lxd/sock": "", "proc/1/environ": "HOME=/\x00"}, "", ""},
		{"a variable that ends in container", map[string]string{"proc/1/environ": "my_container=lxc\x00"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Read(treeWith(t, tt.files)).Platform
			if p.Container != tt.want {
				t.Fatalf("the container is %q, want %q", p.Container, tt.want)
			}
			if tt.want != "" && p.Signs[0].File != tt.file {
				t.Errorf("the sign is %v, want %s", p.Signs, tt.file)
			}
		})
	}
}

func TestPlatform(t *testing.T) {
	for _, tt := range []struct {
		name, release string
		file          string
		want          string
		// generated is true where the files below /etc are made by a program, own where the system
		// supplies its kernel by packages.
		generated, own bool
	}{
		{"NixOS", "ID=nixos\n", "", "NixOS", true, false},
		{"Guix", "ID=guix\n", "", "Guix System", true, false},
		{"Bottlerocket", "ID=bottlerocket\n", "", "Bottlerocket", true, false},
		{"Talos", "ID=talos\n", "", "Talos Linux", true, false},
		{"Flatcar", "ID=flatcar\nID_LIKE=coreos\n", "", "Flatcar Container Linux", false, false},
		{"OpenWrt", "ID=openwrt\nID_LIKE=\"lede openwrt\"\n", "", "OpenWrt", false, false},
		{"Fedora CoreOS", "ID=fedora\nVARIANT_ID=coreos\n", "run/ostree-booted", "ostree", false, false},
		{"MicroOS", "ID=opensuse-microos\nID_LIKE=\"suse opensuse\"\n", "", "MicroOS", false, false},
		{"a usual Fedora", "ID=fedora\n", "", "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"etc/os-release": tt.release, "usr/bin/rpm-ostree": "", "etc/default/grub": ""}
			if tt.file != "" {
				files[tt.file] = ""
			}
			host := treeWith(t, files)
			d := Read(host)
			if d.Platform.Name != tt.want || (d.Platform.Generator != "") != tt.generated {
				t.Errorf("the platform is %q, its generator %q", d.Platform.Name, d.Platform.Generator)
			}
			if kernel := d.ReinstallKernel("6.1.0"); (len(kernel) > 0) != tt.own {
				t.Errorf("the kernel is installed by %v", kernel)
			}
			if tt.own != (d.RebuildInitramfs("6.1.0") != "") {
				t.Errorf("the initramfs is rebuilt by %q", d.RebuildInitramfs("6.1.0"))
			}
			steps := d.ReadBootConfig(host).Change(nil, []string{"a=1"})
			if (steps[0].Obstacle == "") != (tt.own || tt.want == "ostree") {
				t.Errorf("the kernel's command line is changed by %v", steps)
			}
		})
	}
}

func TestOstree(t *testing.T) {
	host := treeWith(t, map[string]string{
		"etc/os-release": "ID=fedora\n", "run/ostree-booted": "", "usr/bin/rpm-ostree": "",
	})
	d := Read(host)
	const install = "rpm-ostree install --idempotent --allow-inactive conntrack-tools"
	if got := d.Install("conntrack-tools"); got != install {
		t.Errorf("Install is %q, want %q", got, install)
	}
	steps := d.ReadBootConfig(host).Change([]string{"a=1"}, []string{"nf_conntrack.hashsize=4096"})
	want := []string{
		"rpm-ostree kargs --delete-if-present=a=1", "rpm-ostree kargs --append-if-missing=nf_conntrack.hashsize=4096",
	}
	if diff := cmp.Diff(want, change.Render(steps, "")); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// treeWith returns a tree with files.
func treeWith(t *testing.T, files map[string]string) tree.Tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		kerneltree.Put(t, root, name, text)
	}
	return tree.At(root)
}
