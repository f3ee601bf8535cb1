package distro

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxRelease is the longest release file that is read, in bytes.
const maxRelease = 64 << 10

// Distribution is the contents of os-release(5), or of an older release file.
type Distribution struct {
	// ID is debian, ubuntu, centos, rhel, fedora, alpine, arch, opensuse-leap, …; "linux" if unknown.
	ID string
	// Name is for people: "Debian GNU/Linux 12 (bookworm)".
	Name    string
	Version string
	// Like are the IDs of the distributions that it is derived from.
	Like []string
	// Platform is what sets the host apart from a usual installation of it.
	Platform Platform
}

// Read reads the distribution and the platform of a host.
func Read(t tree.Tree) Distribution {
	d := readRelease(t)
	d.Platform = d.readPlatform(t)
	return d
}

// readRelease reads the first of /etc/os-release, /usr/lib/os-release, /etc/redhat-release, /etc/centos-release and
// /etc/alpine-release.
func readRelease(t tree.Tree) Distribution {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if text, err := t.Read(file, maxRelease); err == nil {
			return parseOSRelease(string(text))
		}
	}
	for _, file := range []string{"/etc/redhat-release", "/etc/centos-release"} {
		if text, err := t.Read(file, maxRelease); err == nil {
			return parseRedHatRelease(string(text))
		}
	}
	if text, err := t.Read("/etc/alpine-release", maxRelease); err == nil {
		version := firstLine(string(text))
		return Distribution{ID: "alpine", Name: "Alpine Linux " + version, Version: version}
	}
	return Distribution{ID: "linux", Name: "Linux"}
}

// parseOSRelease parses assignments of shell words (os-release(5)).
func parseOSRelease(text string) Distribution {
	d := Distribution{ID: "linux", Name: "Linux"}
	name := ""
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		value = unquote(value)
		switch {
		case value == "": // the same as no assignment
		case key == "ID":
			d.ID = value
		case key == "PRETTY_NAME":
			d.Name = value
		case key == "NAME":
			name = value
		case key == "VERSION_ID":
			d.Version = value
		case key == "ID_LIKE":
			d.Like = strings.Fields(value)
		}
	}
	if d.Name == "Linux" && name != "" {
		d.Name = strings.TrimSpace(name + " " + d.Version)
	}
	return d
}

// unquote returns the value of the shell word at the beginning of a text.
func unquote(value string) string {
	if inner, ok := strings.CutPrefix(value, "'"); ok {
		inner, _, _ = strings.Cut(inner, "'")
		return inner
	}
	inner, double := strings.CutPrefix(value, `"`)
	var word strings.Builder
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case c == '"' && double:
			return word.String()
		case c == '\\' && i+1 < len(inner):
			i++
			word.WriteByte(inner[i])
		case (c == ' ' || c == '\t') && !double:
			return word.String()
		default:
			word.WriteByte(c)
		}
	}
	return word.String()
}

// parseRedHatRelease parses "CentOS release 6.10 (Final)".
func parseRedHatRelease(text string) Distribution {
	line := firstLine(text)
	d := Distribution{ID: "rhel", Name: line, Like: []string{"fedora"}}
	for name, id := range map[string]string{
		"CentOS": "centos", "Fedora": "fedora", "Scientific": "scientific", "Oracle": "ol",
		"AlmaLinux": "almalinux", "Rocky": "rocky", "CloudLinux": "cloudlinux",
	} {
		if strings.HasPrefix(line, name) {
			d.ID = id
			d.Like = []string{"rhel", "fedora"}
		}
	}
	if d.ID == "fedora" {
		d.Like = nil
	}
	if version := regexp.MustCompile(`release ([0-9][0-9.]*)`).FindStringSubmatch(line); version != nil {
		d.Version = version[1]
	}
	return d
}

// firstLine returns the first line of a text.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

// family groups distributions with the same package manager.
type family int

const (
	unknown family = iota
	debian
	redHat
	suse
	alpine
	arch
)

// family returns the family of the distribution or of the first one that it is derived from.
func (d Distribution) family() family {
	families := map[string]family{
		"debian": debian, "ubuntu": debian, "raspbian": debian,
		"rhel": redHat, "centos": redHat, "fedora": redHat, "scientific": redHat, "ol": redHat, "amzn": redHat,
		"rocky": redHat, "almalinux": redHat, "cloudlinux": redHat,
		"suse": suse, "sles": suse, "opensuse": suse, "opensuse-leap": suse, "opensuse-tumbleweed": suse,
		"alpine": alpine, "arch": arch, "archarm": arch,
	}
	for _, id := range append([]string{d.ID}, d.Like...) {
		if f, known := families[id]; known {
			return f
		}
	}
	return unknown
}

// is reports whether the distribution is one of these, or derived from one.
func (d Distribution) is(ids ...string) bool {
	return slices.ContainsFunc(append([]string{d.ID}, d.Like...), func(id string) bool {
		return slices.Contains(ids, id)
	})
}

// major returns the first number of the version, or 0.
func (d Distribution) major() int {
	first, _, _ := strings.Cut(d.Version, ".")
	n, _ := strconv.Atoi(first)
	return n
}

// hasYum reports whether the distribution uses rpm packages and is older than dnf(8).
func (d Distribution) hasYum() bool {
	switch {
	case d.family() != redHat || d.ID == "fedora":
		return false
	case d.ID == "amzn": // 2018.03, 2, 2023
		return d.Version != "" && d.major() != 2023
	}
	return d.Version != "" && d.major() < 8
}

// manager returns the package manager for rpm packages.
func (d Distribution) manager() string {
	if d.hasYum() {
		return "yum"
	}
	return "dnf"
}

// Install returns the shell command that installs packages without a question, or "" for an unknown
// distribution. On ostree the packages are there after the next boot.
func (d Distribution) Install(packages ...string) string {
	command := map[family]string{
		debian: "apt-get install -y", redHat: d.manager() + " install -y", suse: "zypper --non-interactive install",
		alpine: "apk add", arch: "pacman -S --noconfirm --needed",
	}[d.family()]
	if d.Platform.Name == "ostree" && d.family() == redHat {
		command = "rpm-ostree install --idempotent --allow-inactive"
	}
	if command == "" || len(packages) == 0 {
		return ""
	}
	for _, name := range packages {
		command += " " + shell.Quote(name)
	}
	return command
}
