package packaging

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// waitTimeout bounds every wait.
const waitTimeout = 3 * time.Minute

const (
	statFile   = "proc/net/stat/nf_conntrack"
	expectFile = "proc/net/nf_conntrack_expect"
	statLine   = "entries clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop " +
		"icmp_error expect_new expect_create expect_delete search_restart\n" +
		"%08[1]x 00000000 00000000 00000000 %08[1]x 00000000 00000000 00000000 00000000 %08[1]x %08[1]x %08[1]x " +
		"00000000 00000000 00000000 00000000 %08[1]x\n"
	expectLine = "179 l3proto = 2 proto=17 src=192.0.2.1 dst=198.51.100.2 sport=0 dport=%d sip/audio\n"
)

// withoutData returns the queries without data on a host of files, each with its metric: its kernel log does not
// grow, and it has no guard. Only their syntax is tested.
func withoutData() map[string]string {
	return map[string]string{
		"Kernel messages A": "ctkeeper_kernel_messages_total", "Blocked writes A": "ctkeeper_refused_writes_total",
		"Blocked writes B": "ctkeeper_absorbed_writes_total",
	}
}

// TestDashboardAgainstPrometheus checks that every query of the dashboard returns data. A Prometheus scrapes a
// daemon on a host of files, on which settings drift, the module is reloaded and the table drops.
func TestDashboardAgainstPrometheus(t *testing.T) {
	prometheus := command(t, "prometheus")
	root := kerneltree.New(t)
	address, api := freeAddress(t), "http://"+freeAddress(t)
	startDaemon(t, root, address, `
settings: {max: 131072, hashsize: {at_least: 65536}, tcp_be_liberal: true, udp_timeout_stream: 3m}
enforcement: {resync: 1s}
`)
	startPrometheus(t, prometheus, strings.TrimPrefix(api, "http://"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: ctkeeper, static_configs: [{targets: [%q]}]}]
`, absolute(t, rulesFile), address))
	wait(t, "a first scrape", func() bool {
		return len(values(t, api, `ctkeeper_build_info and on (instance) up == 1`)) == 1
	})

	d := readDashboard(t, dashboardFile)
	empty := d.queries()
	for where, metric := range withoutData() {
		query := substitute(empty[where])
		if !strings.Contains(query, metric) || len(values(t, api, query)) > 0 {
			t.Errorf("%s has data, or another metric: %s", where, query)
		}
		delete(empty, where)
	}
	second := 0
	wait(t, "data for every query", func() bool {
		second++
		simulateSecond(t, root, second)
		for where, query := range empty {
			if len(values(t, api, substitute(query))) > 0 {
				delete(empty, where)
			}
		}
		return len(empty) == 0
	}, func() string { return fmt.Sprintf("no data for %q", empty) })

	var instances []string
	get(t, api+"/api/v1/label/instance/values?match[]=ctkeeper_build_info", &instances)
	if diff := cmp.Diff([]string{address}, instances); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	var evaluated struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	get(t, api+"/api/v1/rules", &evaluated)
	if len(evaluated.Groups) == 0 {
		t.Error("no rules are evaluated")
	}
	for _, group := range evaluated.Groups {
		for _, rule := range group.Rules {
			if rule.Health != "ok" {
				t.Errorf("alert %s: %s %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
}

// simulateSecond changes the host for one second.
func simulateSecond(t *testing.T, root string, n int) {
	t.Helper()
	kerneltree.Put(t, root, "proc/sys/net/netfilter/nf_conntrack_count", fmt.Sprintf("%d\n", 50_000+n))
	kerneltree.Put(t, root, statFile, fmt.Sprintf(statLine, n))
	kerneltree.Put(t, root, expectFile, strings.Repeat(fmt.Sprintf(expectLine, 4000), n))
	kerneltree.Set(t, root, "max", fmt.Sprint(70_000+n))
	// Rarely: a new table has no expectations, and the daemon caches their count for 15 s.
	if n%24 == 4 {
		kerneltree.Unload(t, root)
		time.Sleep(1500 * time.Millisecond) // the daemon reads every second
		kerneltree.Load(t, root)
	}
	time.Sleep(time.Second)
}

// substitute replaces Grafana's variables by values.
func substitute(query string) string {
	return strings.NewReplacer(
		"$instance", ".+", "$job", ".+", "$__rate_interval", "1m", "$__range", "1m",
	).Replace(query)
}

// startDaemon runs the daemon on a host of files with a configuration, and its exporter on the address.
func startDaemon(t *testing.T, root, address, config string) {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build ctkeeper: %v\n%s", err, out)
	}
	kerneltree.Put(t, root, "etc/ctkeeper/ctkeeper.yaml", config)
	kerneltree.Put(t, root, statFile, fmt.Sprintf(statLine, 0))
	run(t, filepath.Join(dir, "ctkeeper"), "run", "--root", root, "--log-format", "console")
	run(t, filepath.Join(dir, "ctkeeper-exporter"), "--web.listen-address="+address,
		"--ctkeeper.socket="+filepath.Join(root, "run/ctkeeper/ctkeeper.sock"))
}

// absolute returns the path of a file of this directory.
func absolute(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startPrometheus runs Prometheus with a configuration, and its API on the address.
func startPrometheus(t *testing.T, binary, address, text string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.enable-admin-api")
}

// run runs a program until the test ends, and logs its output if the test failed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	program := exec.CommandContext(context.Background(), name, args...)
	program.Stdout, program.Stderr = &output, &output
	program.Env = append(os.Environ(), "NOTIFY_SOCKET=")
	// The program ends even if the test binary is killed.
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Signal(syscall.SIGTERM)
		_ = program.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), output.String())
		}
	})
}

// freeAddress returns an address that no program listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// wait polls until cond holds.
func wait(t *testing.T, what string, cond func() bool, found ...func() string) {
	t.Helper()
	for deadline := time.Now().Add(waitTimeout); !cond(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, f := range found {
				what += ": " + f()
			}
			t.Fatalf("not within %s: %s", waitTimeout, what)
		}
	}
}

// values returns the results of a query without NaN.
func values(t *testing.T, api, query string) []string {
	t.Helper()
	var answer struct {
		Result []struct{ Value []any }
	}
	get(t, api+"/api/v1/query?query="+url.QueryEscape(query), &answer)
	var list []string
	for _, series := range answer.Result {
		if text := fmt.Sprint(series.Value[1]); text != "NaN" {
			list = append(list, text)
		}
	}
	return list
}

// get queries Prometheus's API. An error of the query fails the test; before Prometheus is up there is no data.
func get(t *testing.T, address string, data any) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusServiceUnavailable {
		return
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %s %s %v", address, response.Status, answer.Error, err)
	}
}

// waitFor waits until an exporter serves a line.
func waitFor(t *testing.T, exporter, line string) {
	t.Helper()
	wait(t, line, func() bool {
		response, err := http.Get(exporter + "/metrics")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(text), "\n"+line+"\n")
	})
}
