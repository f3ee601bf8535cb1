//go:build native

package native

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/e2e/debs"
	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// A controller runs the role on a machine.
type controller struct {
	t         *testing.T
	m         *Machine
	directory string
}

// newController makes an inventory with the machine. Ansible's own ssh connection runs a program in the place of ssh,
// which enters the machine and runs there what sshd would: the last argument, by a shell.
func newController(t *testing.T, m *Machine) *controller {
	t.Helper()
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		netns.Cannot(t, "no ansible-playbook: apt-get install ansible-core")
	}
	c := &controller{t, m, t.TempDir()}
	c.enter()
	c.write("inventory", "machine ansible_connection=ssh ansible_ssh_transfer_method=piped "+
		"ansible_python_interpreter=/usr/bin/python3 "+
		"ansible_ssh_executable="+filepath.Join(c.directory, "ssh")+"\n", 0o644)
	c.write("play.yml", "- hosts: all\n  gather_subset: [min]\n  roles: [ctkeeper.ctkeeper.ctkeeper]\n", 0o644)
	c.command("ansible-galaxy", "collection", "build", "--output-path", c.directory, "../../packaging/ansible")
	archives, err := filepath.Glob(filepath.Join(c.directory, "*.tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("collections: %v, %v", archives, err)
	}
	c.command("ansible-galaxy", "collection", "install", "--offline", "-p", c.directory, archives[0])
	return c
}

// enter makes what stands for ssh, with a command in front of the shell, such as chroot.
func (c *controller) enter(before ...string) {
	c.t.Helper()
	ssh := "#!/bin/sh\nfor last; do :; done\nexec"
	for _, word := range c.m.Command(append(before, "sh", "-c")...) {
		ssh += " " + shell.Quote(word)
	}
	c.write("ssh", ssh+` "$last"`+"\n", 0o755)
}

func (c *controller) write(name, text string, mode os.FileMode) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.directory, name), []byte(text), mode); err != nil {
		c.t.Fatal(err)
	}
}

func (c *controller) run(name string, args ...string) (output string, err error) {
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "HOME="+c.directory, "ANSIBLE_COLLECTIONS_PATH="+c.directory, "ANSIBLE_NOCOLOR=1",
		"ANSIBLE_PIPELINING=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *controller) command(name string, args ...string) {
	c.t.Helper()
	if out, err := c.run(name, args...); err != nil {
		c.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// play runs the role with variables and returns what Ansible printed.
func (c *controller) play(variables map[string]any, flags ...string) (output string, err error) {
	c.t.Helper()
	text, err := json.Marshal(variables)
	if err != nil {
		c.t.Fatal(err)
	}
	args := append(flags, "-i", filepath.Join(c.directory, "inventory"), "-e", string(text),
		filepath.Join(c.directory, "play.yml"))
	return c.run("ansible-playbook", args...)
}

// mustPlay is play for a run that has to succeed. It returns whether it changed something, too.
func (c *controller) mustPlay(variables map[string]any, flags ...string) (output string, changed bool) {
	c.t.Helper()
	output, err := c.play(variables, flags...)
	if err != nil {
		c.t.Fatalf("ansible-playbook: %v\n%s", err, output)
	}
	return output, !strings.Contains(output, " changed=0 ")
}

// mustSettle runs the role twice: the first run changes something, the second one nothing.
func (c *controller) mustSettle(variables map[string]any) {
	c.t.Helper()
	if output, changed := c.mustPlay(variables); !changed {
		c.t.Errorf("the first run changed nothing:\n%s", output)
	}
	if output, changed := c.mustPlay(variables); changed {
		c.t.Errorf("the second run changed something:\n%s", output)
	}
}

// withUDPTimeout is a configuration.
func withUDPTimeout(value string) map[string]any {
	return map[string]any{"settings": map[string]any{"udp_timeout": value, "tcp_timeout_established": "2h"}}
}

// wantUDPTimeout waits until the kernel has a value, and checks the file.
func (c *controller) wantUDPTimeout(seconds string) {
	c.t.Helper()
	const file = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
	c.m.WaitFor(10*time.Second, "grep -x "+seconds+" "+file)
	if text := c.m.Read("/etc/ctkeeper/ctkeeper.yaml"); !strings.Contains(text, "udp_timeout: "+seconds+"s\n") {
		c.t.Errorf("the file, want %s s:\n%s", seconds, text)
	}
}

func TestAnsible(t *testing.T) {
	m := Boot(t, "bookworm", "python3-apt")
	c := newController(t, m)
	packages, err := debs.Build("../..", t.TempDir(), "0.1.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	// In this order: the second package depends on the first one.
	var files []string
	for _, pattern := range []string{"ctkeeper_*", "ctkeeper-exporter_*"} {
		found, err := filepath.Glob(filepath.Join(packages, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	variables := map[string]any{
		"ctkeeper_package_files": files, "ctkeeper_config": withUDPTimeout("41s"),
		"ctkeeper_exporter": true, "ctkeeper_exporter_args": "--web.listen-address=127.0.0.1:9466",
	}

	if output, changed := c.mustPlay(variables, "--check", "--diff"); !changed {
		t.Errorf("in check mode a bare host needs no change:\n%s", output)
	}
	m.Must("! ls /usr/bin/ctkeeper && ! ls /var/cache/ctkeeper-packages")
	c.mustSettle(variables)
	m.Must("systemctl is-active ctkeeper ctkeeper-exporter && systemctl is-enabled ctkeeper ctkeeper-exporter")
	c.wantUDPTimeout("41")

	checkEdits(c, variables)
	checkUnit(c, variables)
	checkRemoval(c)
	checkImage(c, variables)
}

// checkEdits checks that an edit is shown in check mode, reloads the service, and is refused if it is invalid.
func checkEdits(c *controller, variables map[string]any) {
	begin := c.m.Must("systemctl show -P MainPID ctkeeper")
	variables["ctkeeper_config"] = withUDPTimeout("43s")
	output, changed := c.mustPlay(variables, "--check", "--diff")
	if !changed || !regexp.MustCompile(`(?m)^- *udp_timeout: 41s\n\+ *udp_timeout: 43s$`).MatchString(output) {
		c.t.Errorf("check mode does not show the edit:\n%s", output)
	}
	c.wantUDPTimeout("41")
	c.mustPlay(variables)
	c.wantUDPTimeout("43")

	variables["ctkeeper_config"] = map[string]any{"settings": map[string]any{"udp_timout": 45}}
	for _, flags := range [][]string{{"--check"}, nil} {
		output, err := c.play(variables, flags...)
		if err == nil || !strings.Contains(output, "did you mean udp_timeout?") {
			c.t.Errorf("a broken configuration %v: %v\n%s", flags, err, output)
		}
		c.wantUDPTimeout("43")
	}
	variables["ctkeeper_config"] = withUDPTimeout("43s")
	if now := c.m.Must("systemctl show -P MainPID ctkeeper"); now != begin {
		c.t.Errorf("an edit restarted the service: pid %s, was %s", now, begin)
	}
}

// checkUnit checks that what changes the unit restarts the service, and that the guard's rights come and go.
func checkUnit(c *controller, variables map[string]any) {
	begin := c.m.Must("systemctl show -P MainPID ctkeeper")
	variables["ctkeeper_unit"] = "[Service]\nMemoryMax=99M\n"
	variables["ctkeeper_guard_rights"] = "perfmon"
	c.mustPlay(variables)
	now := c.m.Must("systemctl show -P MainPID ctkeeper")
	if unit := c.m.Must("systemctl show -p MemoryMax -p CapabilityBoundingSet ctkeeper"); now == begin ||
		unit != "MemoryMax=103809024\nCapabilityBoundingSet=cap_net_admin cap_perfmon cap_bpf\n" {
		c.t.Errorf("pid %s, was %s; the unit has\n%s", now, begin, unit)
	}
	c.wantUDPTimeout("43")

	variables["ctkeeper_unit"], variables["ctkeeper_guard_rights"] = "", "none"
	c.mustPlay(variables)
	if output := c.m.Must("ls -A /etc/systemd/system/ctkeeper.service.d"); output != "" {
		c.t.Errorf("the unit has drop-ins that the role no longer wants: %s", output)
	}
}

// checkRemoval checks that removal leaves the configuration and the kernel's values, and purge only the values.
func checkRemoval(c *controller) {
	c.mustPlay(map[string]any{"ctkeeper_state": "absent"})
	c.m.Must("! ls /usr/bin/ctkeeper && ! ls /usr/bin/ctkeeper-exporter && ! ls /var/cache/ctkeeper-packages")
	c.wantUDPTimeout("43")
	c.mustSettle(map[string]any{"ctkeeper_state": "absent", "ctkeeper_purge": true})
	c.m.Must("! ls /etc/ctkeeper && ! ls /var/lib/ctkeeper && ! ls /etc/systemd/system/ctkeeper.service.d")
	c.m.Must("! dpkg -l ctkeeper")
}

// checkImage runs the role in a tree without a running systemd, such as becomes an image: it leaves the services alone.
func checkImage(c *controller, variables map[string]any) {
	c.m.Must(`mkdir /srv/image /srv/layers && mount -t tmpfs layers /srv/layers &&
		mkdir /srv/layers/upper /srv/layers/work &&
		mount -t overlay -o lowerdir=/,upperdir=/srv/layers/upper,workdir=/srv/layers/work overlay /srv/image &&
		mount -t proc proc /srv/image/proc && mount --bind /dev /srv/image/dev`)
	c.enter("chroot", "/srv/image")
	c.mustPlay(variables)
	c.m.Must(`systemctl --root /srv/image is-enabled ctkeeper &&
		grep "udp_timeout: 43s" /srv/image/etc/ctkeeper/ctkeeper.yaml &&
		! systemctl is-active ctkeeper && ! ls /usr/bin/ctkeeper`)
}
