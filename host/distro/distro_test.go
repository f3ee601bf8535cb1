package distro

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// The distributions that the tests go through, as their own release files have
// them.
var (
	debian12 = Distribution{ID: "debian", Name: "Debian GNU/Linux 12 (bookworm)", Version: "12"}
	ubuntu   = Distribution{ID: "ubuntu", Name: "Ubuntu 24.04.1 LTS", Version: "24.04", Like: []string{"debian"}}
	raspbian = Distribution{ID: "raspbian", Name: "Raspbian GNU/Linux 11 (bullseye)", Version: "11",
		Like: []string{"debian"}}
	centos6 = Distribution{ID: "centos", Name: "CentOS release 6.10 (Final)", Version: "6.10",
		Like: []string{"rhel", "fedora"}}
	centos7 = Distribution{ID: "centos", Name: "CentOS Linux 7 (Core)", Version: "7", Like: []string{"rhel", "fedora"}}
	rocky9  = Distribution{ID: "rocky", Name: "Rocky Linux 9.3 (Blue Onyx)", Version: "9.3",
		Like: []string{"rhel", "centos", "fedora"}}
	oracle8 = Distribution{ID: "ol", Name: "Oracle Linux Server 8.9", Version: "8.9", Like: []string{"fedora"}}
	fedora  = Distribution{ID: "fedora", Name: "Fedora Linux 40 (Server Edition)", Version: "40"}
	amazon2 = Distribution{ID: "amzn", Name: "Amazon Linux 2", Version: "2",
		Like: []string{"centos", "rhel", "fedora"}}
	amazon = Distribution{ID: "amzn", Name: "Amazon Linux 2023", Version: "2023", Like: []string{"fedora"}}
	leap   = Distribution{ID: "opensuse-leap", Name: "openSUSE Leap 15.5", Version: "15.5",
		Like: []string{"suse", "opensuse"}}
	alpineOS = Distribution{ID: "alpine", Name: "Alpine Linux v3.20", Version: "3.20.0"}
	archOS   = Distribution{ID: "arch", Name: "Arch Linux"}
	stranger = Distribution{ID: "linux", Name: "Linux"}
)

// releases are the release files of hosts, each with the distribution that Read returns.
var releases = []struct {
	name  string
	files map[string]string
	want  Distribution
}{
	{
		"Debian",
		map[string]string{
			"etc/os-release": "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n" +
				"NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n",
		},
		debian12,
	},
	{
		"Rocky",
		map[string]string{
			"etc/os-release": "NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n" +
				"VERSION_ID=\"9.3\"\nPRETTY_NAME=\"Rocky Linux 9.3 (Blue Onyx)\"\n",
		},
		rocky9,
	},
	{"only in /usr", map[string]string{"usr/lib/os-release": "NAME=\"Arch Linux\"\nID=arch\n"}, archOS},
	{
		"os-release before the older file",
		map[string]string{
			"etc/os-release":     "ID=arch\nPRETTY_NAME='Arch Linux'\n",
			"etc/redhat-release": "CentOS release 6.10 (Final)\n",
		},
		archOS,
	},
	{
		"CentOS 6",
		map[string]string{
			"etc/redhat-release": "CentOS release 6.10 (Final)\n",
			"etc/centos-release": "CentOS release 6.10 (Final)\n",
		},
		centos6,
	},
	{"CentOS 6, half of it", map[string]string{"etc/centos-release": "CentOS release 6.10 (Final)\n"}, centos6},
	{"RHEL 6", map[string]string{"etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"},
		Distribution{ID: "rhel", Name: "Red Hat Enterprise Linux Server release 6.10 (Santiago)",
			Version: "6.10", Like: []string{"fedora"}}},
	{"old Fedora", map[string]string{"etc/redhat-release": "Fedora release 14 (Laughlin)\n"},
		Distribution{ID: "fedora", Name: "Fedora release 14 (Laughlin)", Version: "14"}},
	{
		"old Alpine", map[string]string{"etc/alpine-release": "3.2.0\n"},
		Distribution{ID: "alpine", Name: "Alpine Linux 3.2.0", Version: "3.2.0"},
	},
	{"quotes",
		map[string]string{"etc/os-release": "# ID=no\n\n ID=x \n" +
			"PRETTY_NAME=\"a \\\"b\\\" \\$c \\\\ \\`d\\`\" # why\n" +
			"VERSION_ID='1 \"2\"'\nID_LIKE=\"\"\nNAME\n"},
		Distribution{ID: "x", Name: "a \"b\" $c \\ `d`", Version: `1 "2"`}},
	{
		"a name without a pretty one", map[string]string{"etc/os-release": "NAME=Void\nVERSION_ID=7\n"},
		Distribution{ID: "linux", Name: "Void 7", Version: "7"},
	},
	{"garbage", map[string]string{"etc/os-release": "\x00\xff=\x7f\nID=\"\n"}, stranger},
	{"nothing", nil, stranger},
}

func TestRead(t *testing.T) {
	for _, test := range releases {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range test.files {
				kerneltree.Put(t, root, name, text)
			}
			if diff := cmp.Diff(test.want, Read(tree.At(root))); diff != "" {
				t.Errorf("distribution (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadALink(t *testing.T) {
	root := t.TempDir()
	kerneltree.Put(t, root, "usr/lib/os-release", "ID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\nVERSION_ID=3.20.0\n")
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	// An absolute link resolves within the tree.
	if err := os.Symlink("/usr/lib/os-release", filepath.Join(root, "etc/os-release")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alpineOS, Read(tree.At(root))); diff != "" {
		t.Errorf("distribution (-want +got):\n%s", diff)
	}
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add("ID=debian\nPRETTY_NAME=\"a \\\"b\\\"\"\nID_LIKE='a b'\n")
	f.Add("ID=\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		if d := parseOSRelease(text); d.ID == "" || d.Name == "" {
			t.Errorf("nameless: %+v", d)
		}
		if d := parseRedHatRelease(text); d.ID == "" {
			t.Errorf("nameless: %+v", d)
		}
	})
}

func TestInstall(t *testing.T) {
	tests := []struct {
		distribution Distribution
		want         string
	}{
		{debian12, "apt-get install -y conntrack kmod"},
		{ubuntu, "apt-get install -y conntrack kmod"},
		{centos6, "yum install -y conntrack kmod"},
		{centos7, "yum install -y conntrack kmod"},
		{rocky9, "dnf install -y conntrack kmod"},
		{fedora, "dnf install -y conntrack kmod"},
		{amazon2, "yum install -y conntrack kmod"},
		{amazon, "dnf install -y conntrack kmod"},
		{leap, "zypper --non-interactive install conntrack kmod"},
		{alpineOS, "apk add conntrack kmod"},
		{archOS, "pacman -S --noconfirm --needed conntrack kmod"},
		{stranger, ""},
	}
	for _, test := range tests {
		if got := test.distribution.Install("conntrack", "kmod"); got != test.want {
			t.Errorf("%s: %q, want %q", test.distribution.Name, got, test.want)
		}
	}
	if got, want := debian12.Install("a; reboot"), "apt-get install -y 'a; reboot'"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := debian12.Install(); got != "" {
		t.Errorf("a command that installs nothing: %q", got)
	}
}
