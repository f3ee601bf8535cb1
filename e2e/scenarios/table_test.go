//go:build guest

package scenarios

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	leftAddress  = "10.81.0.2"
	rightAddress = "10.82.0.2"
	// pressureTime is the longest time until an event about a table, which the daemon reads every few seconds.
	pressureTime = 20 * time.Second
	// reliefTime is the longest time until the event that the table is back to normal. That waits until nothing was
	// dropped for a while.
	reliefTime = time.Minute
)

// small has small tables, and timeouts that keep entries for the whole scenario.
const small = `settings:
  max: 1000
  expect_max: 20
  udp_timeout: 600s
  tcp_timeout_established: 1h
`

// makeRouter makes the guest the router between two namespaces, left and right.
func makeRouter(t *testing.T) {
	t.Helper()
	for i, side := range []string{"left", "right"} {
		net := "10." + strconv.Itoa(81+i) + ".0."
		run(t, "ip", "netns", "add", side)
		t.Cleanup(func() {
			// The kernel removes a namespace some time later; the link must be removed at once.
			_, _ = try(t, "ip", "link", "delete", "to-"+side)
			run(t, "ip", "netns", "delete", side)
		})
		run(t, "ip", "link", "add", "to-"+side, "type", "veth", "peer", "name", "eth0", "netns", side)
		run(t, "ip", "address", "add", net+"1/24", "dev", "to-"+side)
		run(t, "ip", "link", "set", "to-"+side, "up")
		run(t, "ip", "-n", side, "address", "add", net+"2/24", "dev", "eth0")
		run(t, "ip", "-n", side, "link", "set", "eth0", "up")
		run(t, "ip", "-n", side, "route", "add", "default", "via", net+"1")
	}
	run(t, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
	run(t, "iptables", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
}

// startFlows starts the helper flows in a namespace and returns its first line of output. It is killed when the
// scenario ends.
func startFlows(t *testing.T, side string, args ...string) string {
	t.Helper()
	program := filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "flows")
	cmd := exec.Command("ip", append([]string{"netns", "exec", side, program}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// openConnections opens a number of TCP connections through the host and returns how many were accepted.
func openConnections(t *testing.T, count int) int {
	t.Helper()
	return number(t, startFlows(t, "left", "tcp", rightAddress, "7", strconv.Itoa(count)))
}

// unixClient returns an HTTP client of a Unix socket.
func unixClient(socket string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 10 * time.Second,
	}
}

// waitPressure waits for an entry about pressure whose message has all of words, and returns it.
func (c cursor) waitPressure(t *testing.T, timeout time.Duration, words ...string) entry {
	t.Helper()
	var found entry
	eventually(t, timeout, "table-pressure: "+strings.Join(words, ", "), func() bool {
		for _, e := range c.events(t, "table-pressure") {
			all := true
			for _, word := range words {
				all = all && strings.Contains(e.get("MESSAGE"), word)
			}
			if all {
				found = e
				return true
			}
		}
		return false
	})
	entries, limit := found.get("CTKEEPER_ENTRIES"), found.get("CTKEEPER_LIMIT")
	t.Logf("%s (CTKEEPER_ENTRIES=%s CTKEEPER_LIMIT=%s)", found.get("MESSAGE"), entries, limit)
	return found
}

// checkFigures compares the daemon's figures with those of conntrack(8) and of the kernel.
func checkFigures(t *testing.T) {
	t.Helper()
	time.Sleep(time.Second) // the figures that status reports may be a second old
	count := number(t, run(t, "conntrack", "-C"))
	if file := number(t, read("count")); file != count {
		t.Fatalf("the table is changing: %d entries, then %d", count, file)
	}
	s := statusDocument(t).Table
	metrics := scrape(t)
	exported := metrics["ctkeeper_conntrack_entries"]
	if s.Entries == nil || int(*s.Entries) != count || int(exported) != count {
		t.Errorf("entries: status %v, metrics %g, conntrack -C %d", s.Entries, exported, count)
	}
	for name, c := range map[string]struct {
		status *int64
		series string
	}{
		"max":        {s.Max, "ctkeeper_conntrack_limit"},
		"buckets":    {s.Buckets, "ctkeeper_conntrack_buckets"},
		"expect_max": {s.ExpectMax, "ctkeeper_expectations_limit"},
	} {
		want, exported := number(t, read(name)), metrics[c.series]
		if c.status == nil || int(*c.status) != want || int(exported) != want {
			t.Errorf("%s: status %v, metrics %g, /proc %d", name, c.status, exported, want)
		}
	}
	kernel, tool := kernelStatistics(t), toolStatistics(t)
	if len(kernel) < 10 || len(tool) < 6 {
		t.Fatalf("/proc has %v, conntrack -S %v", kernel, tool)
	}
	for name, want := range kernel {
		exported := metrics[fmt.Sprintf("ctkeeper_conntrack_stat_total{event=%q}", name)]
		if s.Counters[name] != want || uint64(exported) != want {
			t.Errorf("%s: status %d, metrics %g, /proc %d", name, s.Counters[name], exported, want)
		}
	}
	for name, want := range tool { // two of them have other names there
		if got, known := kernel[name]; known && got != want {
			t.Errorf("%s: /proc %d, conntrack -S %d", name, got, want)
		}
	}
}

// kernelStatistics returns the sums of the columns of /proc/net/stat/nf_conntrack without entries.
func kernelStatistics(t *testing.T) map[string]uint64 {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(run(t, "cat", "/proc/net/stat/nf_conntrack")), "\n")
	names, sums := strings.Fields(lines[0]), map[string]uint64{}
	for _, line := range lines[1:] {
		for i, word := range strings.Fields(line) {
			n, err := strconv.ParseUint(word, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			if names[i] != "entries" {
				sums[names[i]] += n
			}
		}
	}
	return sums
}

// toolStatistics returns the sums over all processors of conntrack -S.
func toolStatistics(t *testing.T) map[string]uint64 {
	t.Helper()
	sums := map[string]uint64{}
	for line := range strings.Lines(run(t, "conntrack", "-S")) {
		for _, word := range strings.Fields(line) {
			if name, value, found := strings.Cut(word, "="); found && name != "cpu" {
				n, err := strconv.ParseUint(value, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				sums[name] += n
			}
		}
	}
	return sums
}

// TestTablePressure fills a real table. Each threshold is one event, drops are counted, and the end is an event too.
func TestTablePressure(t *testing.T) {
	since := startDaemon(t, small)
	makeRouter(t)
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, map[string]string{"max": "1000"})
	startFlows(t, "right", "listen", "7")
	if made := openConnections(t, 850); made != 850 {
		t.Fatalf("%d connections of 850", made)
	}
	if e := since.waitPressure(t, pressureTime, "85 %"); e.get("CTKEEPER_LIMIT") != "1000" || e.get("PRIORITY") != "4" {
		t.Errorf("limit %s, priority %s", e.get("CTKEEPER_LIMIT"), e.get("PRIORITY"))
	}
	checkFigures(t)
	shown, _ := try(t, "ctkeeper", "status")
	t.Logf("ctkeeper status:\n%s", shown)
	if made := openConnections(t, 110); made != 110 {
		t.Fatalf("%d connections of 110", made)
	}
	since.waitPressure(t, pressureTime, "96 %")
	checkFigures(t)
	if made := openConnections(t, 60); made >= 60 {
		t.Fatalf("%d connections of 60 in a table with room for 40", made)
	}
	since.waitPressure(t, pressureTime, "drop")
	checkFigures(t)
	if got := statusDocument(t).Table.Counters["drop"]; got == 0 {
		t.Error("no drops are counted")
	}
	before := len(since.events(t, "table-pressure"))
	run(t, "conntrack", "-F")
	since.waitPressure(t, reliefTime, "back to normal")
	time.Sleep(pressureTime)
	for _, e := range since.events(t, "table-pressure") {
		t.Log(e.get("MESSAGE"))
	}
	if after := len(since.events(t, "table-pressure")); before > 4 || after > before+2 {
		t.Errorf("%d entries while it was filled, %d in all: more than one for a change", before, after)
	}
	checkFigures(t)
}

// TestExpectationPressure fills a real expectation table: each TFTP request creates one expectation.
func TestExpectationPressure(t *testing.T) {
	since := startDaemon(t, small)
	makeRouter(t)
	run(t, "modprobe", "nf_conntrack_tftp")
	t.Cleanup(func() { _, _ = try(t, "iptables", "-t", "raw", "-F") })
	assign := "-t raw -A PREROUTING -p udp --dport 69 -j CT --helper tftp"
	run(t, "iptables", strings.Fields(assign)...)
	waitApplied(t, prompt, map[string]string{"expect_max": "20"})
	startFlows(t, "left", "tftp", rightAddress, "69", "17")
	lines := func() int {
		content, err := os.ReadFile("/proc/net/nf_conntrack_expect")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(content), "\n")
	}
	if got := lines(); got != 17 {
		t.Fatalf("%d expectations, want 17", got)
	}
	s := statusDocument(t).Table
	if s.Expectations == nil || *s.Expectations != 17 || s.ByHelper["tftp"] != 17 {
		t.Errorf("expectations %v, by helper %v; want 17 of tftp", s.Expectations, s.ByHelper)
	}
	run(t, "conntrack", "-L", "expect") // loads nf_conntrack_netlink, by which the daemon can count them
	since.waitPressure(t, pressureTime, "expectation", "85 %")
	startFlows(t, "left", "tftp", rightAddress, "69", "30")
	since.waitPressure(t, pressureTime, "expectation", "is full: 20 of 20")
	if got := int(metric(t, `ctkeeper_expectations_by_helper{helper="tftp"}`)); got != 20 {
		t.Errorf("metrics: %d expectations of tftp, want 20", got)
	}
	run(t, "conntrack", "-F", "expect")
	since.waitPressure(t, reliefTime, "expectation", "back to normal")
}

// TestHistorySurvives: ctkeeper events has events of before a restart, and also without a daemon.
func TestHistorySurvives(t *testing.T) {
	startWithModule(t)
	write(t, sysctl("max"), "65536")
	waitApplied(t, prompt, usualValues)
	recorded := func() bool {
		out, code := runStdout(t, "ctkeeper", "events", "-o", "json")
		return code == 0 && strings.Contains(out, `"found":65536`) && strings.Contains(out, `"cause":"write"`)
	}
	eventually(t, prompt, "the drift is in the history", recorded)
	time.Sleep(time.Second) // the file is written after the event
	run(t, "systemctl", "kill", "-s", "KILL", unit)
	eventually(t, prompt*3, "active again", func() bool { return isActive(t) && recorded() })
	run(t, "systemctl", "stop", unit)
	if !recorded() {
		t.Error("without a daemon there is no history")
	}
}
