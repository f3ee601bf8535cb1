package inventory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseShell(t *testing.T) {
	tests := map[string][]string{ // text → line: words > file, | where piped
		"a b\nc":                               {"1: a b", "2: c"},
		"# all\na # rest\nb#c":                 {"2: a", "3: b#c"},
		"echo 1 > /x":                          {"1: echo 1 > /x"},
		"echo 1>/x 2>/dev/null":                {"1: echo > /x"},
		"echo 12>/x":                           {"1: echo"}, // descriptor 12
		"echo 1 >>/x 2>&1":                     {"1: echo 1 > /x"},
		"echo 1 >/x 2>/y; d":                   {"1: echo 1 > /x", "1: d"},
		"a 2> /y b":                            {"1: a b"},
		"a && b || c & d; e":                   {"1: a", "1: b", "1: c", "1: d", "1: e"},
		"echo 1 | tee /x":                      {"1: echo 1", "1: | tee /x"},
		"echo 1 |\n tee /x":                    {"1: echo 1", "2: | tee /x"},
		"a 'b c' \"d \\\"e\" f\\ g":            {`1: a b c d "e f g`},
		"a b\\\n c\nd":                         {"1: a b c", "3: d"},
		"x=$(nproc --all) y=${Z:-1} `w a`":     {"1: x=$(nproc --all) y=1 `w a`"},
		"if [ -f /x ]; then\n\techo 1 >/y\nfi": {"1: [ -f /x ]", "2: echo 1 > /y"},
		"case $1 in\nstart) a;;\nesac":         {"2: a"},
		"( cd /x && a )":                       {"1: cd /x", "1: a"},
		"":                                     nil,
		// Not bash: what comes before the error, then line by line.
		"a\nforeach x (b c)\nd 'e\nf \\\n g":      {"1: a", "2: foreach x", "2: b c", "4: f g"},
		"if (-f /x) then\n  echo 1 > /y\nendif":   {"1: -f /x", "2: echo 1 > /y", "3: endif"},
		"if a; then echo 1 > /y":                  {"1: a", "1: echo 1 > /y"},
		strings.Repeat("#", maxScript) + "\na\nb": {"2: a", "3: b"},
	}
	for text, want := range tests {
		var got []string
		for _, c := range parseShell(text) {
			line := fmt.Sprintf("%d: ", c.line)
			if c.piped {
				line += "| "
			}
			for _, v := range c.assigns {
				line += v.name + "=" + v.value + " "
			}
			line = strings.TrimSuffix(line+strings.Join(c.words, " "), " ")
			if c.file != "" {
				line += " > " + c.file
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestSysctlName(t *testing.T) {
	for key, want := range map[string]string{
		"net.netfilter.nf_conntrack_max":      "net/netfilter/nf_conntrack_max",
		"net/netfilter/nf_conntrack_max":      "net/netfilter/nf_conntrack_max",
		"net.ipv4.conf.enp3s0/200.forwarding": "net/ipv4/conf/enp3s0.200/forwarding",
		"net/ipv4/conf/enp3s0.200/forwarding": "net/ipv4/conf/enp3s0.200/forwarding",
		"/net/netfilter/x":                    "net/netfilter/x",
		"net..x":                              "net/x",
		"x":                                   "x",
	} {
		if got := sysctlName(key); got != want {
			t.Errorf("sysctlName(%q) is %q, want %q", key, got, want)
		}
	}
}

// TestBelow: --prefix= compares whole path components, and keeps patterns.
func TestBelow(t *testing.T) {
	lines, _ := parseSysctl("f",
		"net.netfilter.nf_conntrack_max=1\nnet.nf_conntrack_max=2\nnet.netfilter*=3\nkernel.x=4\n")
	for prefix, want := range map[string]string{
		"/net/netfilter":              "1 3",
		"/proc/sys/net/netfilter":     "1 3",
		"net.nf_conntrack_max":        "2 3",
		"/net/netfilter/nf_conntrack": "3",
		"/net":                        "1 2 3",
	} {
		var got []string
		for _, line := range below(lines, []string{prefix}) {
			got = append(got, line.value)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", prefix, diff)
		}
	}
}
