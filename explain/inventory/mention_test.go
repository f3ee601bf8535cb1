package inventory

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const limitFile = "/proc/sys/net/netfilter/nf_conntrack_max"

// lineTests have the line that names the key as the last one; the lines before it are the rest of the file.
var lineTests = []struct {
	file, text string
	want       bool
}{
	{"a.sh", "sysctl -w net.netfilter.nf_conntrack_max=5", true},
	{"a.sh", "sysctl net.netfilter.nf_conntrack_max=5 >/dev/null 2>&1", true},
	{"a.sh", "sysctl net.netfilter.nf_conntrack_max &> /dev/null", false},
	{"a.sh", "/sbin/sysctl -n -e net.netfilter.nf_conntrack_max", false},
	{"a.sh", "echo 5 > " + limitFile, true},
	{"a.sh", "echo 5 | sudo tee " + limitFile, true},
	{"a.sh", "cat " + limitFile, false},
	{"a.sh", "if [ -f " + limitFile + " ]; then", false},
	{"a.sh", "[[ $(cat " + limitFile + ") -lt 5 ]] && echo 5 > " + limitFile, true},
	{"a.sh", "max=$(/sbin/sysctl net.netfilter.nf_conntrack_max 2>/dev/null | cut -d= -f2)", false},
	{"a.sh", "sysctl -w vm.swappiness=$max\nmax=$(sysctl -n net.netfilter.nf_conntrack_max 2>/dev/null)", false},
	{"a.sh", "old=$(sysctl -w net.netfilter.nf_conntrack_max=5)", true},
	{"a.sh", "MAX=`find /proc/sys -name nf_conntrack_max | head -n 1`", false},
	{"a.sh", "read now < " + limitFile, false},
	{"a.sh", "grep -q nf_conntrack_max /etc/sysctl.conf || exit 1", false},
	{"a.sh", `echo "net.netfilter.nf_conntrack_max = 5" >> /etc/sysctl.conf`, true},
	{"a.sh", `echo "nf_conntrack_max is 5" >> /var/log/x`, false},
	{"a.sh", `echo net.netfilter.nf_conntrack_max=5 | sysctl -p -`, true},
	{"a.sh", `sed -i 's/nf_conntrack_max.*/nf_conntrack_max=5/' /etc/sysctl.conf`, true},
	{"a.sh", "modprobe nf_conntrack", false},
	{"a.sh", "insmod nf_conntrack.ko hashsize=5", true},
	{"a.sh", `F="$D/max"` + "\necho 5 > \"$F\"\nF=" + limitFile, true},
	{"a.sh", "cat \"$F\"\necho x > $LOG\nF=" + limitFile, false},
	{"a.sh", "put() { sysctl -w \"$1=$2\"; }\nput $K 5\nK=net.netfilter.nf_conntrack_max", true},
	{"a.sh", "put() { logger \"$1\"; }\nput $K 5\nK=net.netfilter.nf_conntrack_max", false},
	{"a.sh", "sysctl -w $k=1\nfor k in net.netfilter.nf_conntrack_max vm.x; do", true},
	{"a.sh", "sysctl -n $k\nfor k in net.netfilter.nf_conntrack_max vm.x; do", false},
	{"a.sh", "set -e; tuner --nf_conntrack_max 5", true},
	{"a.py", "with open(path, 'w') as f:\nLIMITS = {'nf_conntrack_max': 5}", true},
	{"a.py", "f = open('/run/x.prom', 'w')\nv = open('/proc/sys/net/netfilter/nf_conntrack_max').read()", false},
	{"a.py", "sys.stdout.write(v)\nv = os.popen('cat /proc/sys/net/netfilter/nf_conntrack_max')", false},
	{"a.py", "subprocess.call(['sysctl', '-w', 'net.netfilter.nf_conntrack_max=5'])", true},
	{"a.py", "Path('/proc/sys/net/netfilter/nf_conntrack_max').write_text('5')", true},
	{"a.py", "Path('/var/x.prom').write_text(v)\nv = '/proc/sys/net/netfilter/nf_conntrack_max'", false},
	{"a.pl", `open(F, ">/proc/sys/net/netfilter/nf_conntrack_max")`, true},
	{"a.pl", `my $max = ` + "`cat /proc/sys/net/netfilter/nf_conntrack_max`", false},
	{"a.rb", `File.write("/proc/sys/net/netfilter/nf_conntrack_max", 5)`, true},
	{"a.yaml", "nf_conntrack_max: 5", true},
	{"a.yaml", "- {name: net.netfilter.nf_conntrack_max, value: '5'}", true},
	{"a.yaml", "path: " + limitFile, false},
	{"a.yaml", "files: [nf_conntrack_count, nf_conntrack_max]", false},
	{"a.json", `"net.netfilter.nf_conntrack_max": "5",`, true},
	{"a.pp", `sysctl { 'net.netfilter.nf_conntrack_max': value => '5' }`, true},
	{"a.toml", `"net.netfilter.nf_conntrack_max" = "{{max}}"`, true},
	{"x.service", "ExecStart=/bin/tuner nf_conntrack_max 5", true},
	{"x.service", "ExecStart=-/bin/cat " + limitFile, false},
	{"x.service", "ConditionPathExists=" + limitFile, false},
}

func TestCanWrite(t *testing.T) {
	for _, test := range lineTests {
		file := "/etc/agent/" + test.file
		if strings.HasSuffix(test.file, ".service") {
			file = "/etc/systemd/system/" + test.file
		}
		f := newSearchedFile(searchRoot{isConfig: true}, file, true, test.text)
		last := f.lines[len(f.lines)-1]
		if strings.HasSuffix(test.file, "yaml") || strings.HasSuffix(test.file, "json") ||
			strings.HasSuffix(test.file, "pp") || strings.HasSuffix(test.file, "toml") {
			f = newSearchedFile(searchRoot{isConfig: true}, file, false, test.text)
		}
		if !f.isMention(last) {
			t.Errorf("%s: %q is no mention", test.file, last)
		}
		if got := f.canWrite(len(f.lines), last); got != test.want {
			t.Errorf("%s: %q can write: %t, want %t", test.file, test.text, got, test.want)
		}
	}
}

// TestSearchEnds has loops of links, links out of the directories that are searched, pipes, binaries and long
// files: none is followed or read without end, and a file of several names is searched once.
func TestSearchEnds(t *testing.T) {
	root := t.TempDir()
	text := "nf_conntrack_max: 5\n"
	for name, content := range map[string]string{
		"etc/a/a.yaml": text, "usr/share/x/y/z.yaml": text, "etc/a/binary": text + "\x00",
		"etc/a/long": strings.Repeat("# comment\n", maxSearched/10) + text, "proc/1/x/y/a.yaml": text,
		"etc/1/2/3/4/5/6/7/8/9/deep.yaml": text,
	} {
		kerneltree.Put(t, root, name, content)
	}
	for name, target := range map[string]string{
		"etc/loop": "loop", "etc/a/up": "..", "etc/a/top": "/", "etc/a/share": "/usr", "etc/b": "a",
		"etc/c.yaml": "a/a.yaml",
		"etc/linked": "/usr/share/x/y", "etc/proc": "/proc/1/x/y", "etc/out": "../../../../../../etc/passwd",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "etc/pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, m := range Read(tree.At(root)).Mentions {
		places = append(places, m.Place.String())
	}
	if diff := cmp.Diff([]string{"/etc/c.yaml:1", "/etc/linked/z.yaml:1"}, places); diff != "" {
		t.Errorf("mentions (-want +got):\n%s", diff)
	}
}

// TestRemote has a directory that another host exports: its server may be gone.
func TestRemote(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"opt/remote/a.yaml": "nf_conntrack_max: 5\n", "opt/local/a.yaml": "nf_conntrack_max: 6\n",
		"proc/self/mountinfo": "21 1 8:1 / / rw - ext4 /dev/vda1 rw\n22 21 0:40 / /opt/remote rw - nfs4 server:/ rw\n",
	} {
		kerneltree.Put(t, root, name, content)
	}
	inv := Read(tree.At(root))
	if len(inv.Mentions) != 1 || inv.Mentions[0].File != "/opt/local/a.yaml" {
		t.Errorf("mentions: %v, want one of /opt/local/a.yaml", inv.Mentions)
	}
	if len(inv.NotSearched) != 1 || inv.NotSearched[0].File != "/opt/remote" {
		t.Errorf("not searched: %v, want /opt/remote", inv.NotSearched)
	}
}

// TestSearchLimits has a directory with more files than are searched.
func TestSearchLimits(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "srv/many")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for n := range maxEntries + 1 {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(n)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := Read(tree.At(root)).NotSearched
	if len(got) == 0 || got[0].File != "/srv/many" {
		t.Errorf("not searched: %v, want /srv/many", got)
	}
}
