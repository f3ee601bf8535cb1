package page_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const (
	netfilter  = "/proc/sys/net/netfilter/nf_conntrack_"
	pageListen = "127.0.0.1:9466"
)

// service is a real ctkeeper run with directories of its own.
type service struct {
	*testing.T
	dir     string
	process *exec.Cmd
	log     bytes.Buffer
}

func newService(t *testing.T, yaml string) *service {
	t.Helper()
	s := &service{T: t, dir: t.TempDir()}
	build := exec.Command("go", "-C", "../../..", "build", "-o", filepath.Join(s.dir, "bin")+"/", "./cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build ctkeeper: %v\n%s", err, out)
	}
	for _, dir := range []string{"run/ctkeeper", "state/ctkeeper"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "ctkeeper.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// serve runs the exporter until the test ends.
func (s *service) serve() {
	s.Helper()
	exporter := exec.Command(filepath.Join(s.dir, "bin/ctkeeper-exporter"), "--web.listen-address="+pageListen,
		"--ctkeeper.socket="+filepath.Join(s.dir, "run/ctkeeper/ctkeeper.sock"))
	var log bytes.Buffer
	exporter.Stdout, exporter.Stderr = &log, &log
	if err := exporter.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = exporter.Process.Signal(syscall.SIGTERM)
		if err := exporter.Wait(); err != nil {
			s.Errorf("ctkeeper-exporter: %v\n%s", err, log.Bytes())
		}
	})
	s.waitFor("tcp", pageListen)
}

// start starts the daemon, and waits until it answers.
func (s *service) start() {
	s.Helper()
	s.process = exec.Command(filepath.Join(s.dir, "bin/ctkeeper"), "run", "--log-format=console",
		"--config="+filepath.Join(s.dir, "ctkeeper.yaml"))
	s.process.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+filepath.Join(s.dir, "run/ctkeeper"),
		"STATE_DIRECTORY="+filepath.Join(s.dir, "state/ctkeeper"))
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	if err := s.process.Start(); err != nil {
		s.Fatal(err)
	}
	s.waitFor("unix", filepath.Join(s.dir, "run/ctkeeper/ctkeeper.sock"))
}

// waitFor waits until something listens on an address.
func (s *service) waitFor(network, address string) {
	s.Helper()
	for limit := time.Now().Add(browserTime / 2); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial(network, address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(limit) {
			s.stop() // and with it what writes to the log
			s.Fatalf("%v\n%s", err, s.log.Bytes())
		}
	}
}

// stop stops the daemon as systemd does.
func (s *service) stop() {
	s.Helper()
	if s.process == nil {
		return
	}
	late := time.AfterFunc(10*time.Second, func() { _ = s.process.Process.Kill() })
	defer late.Stop()
	_ = s.process.Process.Signal(syscall.SIGTERM)
	if err := s.process.Wait(); err != nil {
		s.Errorf("ctkeeper run: %v\n%s", err, s.log.Bytes())
	}
	s.process = nil
}

func (s *service) shell(command string) {
	s.Helper()
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		s.Fatalf("%s: %v: %s", command, err, out)
	}
}

func kernel(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(netfilter + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestPageOnTheKernel runs a daemon and the page on the real kernel in a network namespace of its own. The page shows
// the kernel's values, foreign writes, and what happened while the daemon was stopped.
func TestPageOnTheKernel(t *testing.T) {
	t.Parallel()
	if !netns.Enter(t) {
		return
	}
	s := newService(t, "settings: {udp_timeout: 33, tcp_timeout_established: 24h, max: 4096}\n")
	s.shell("ip link set lo up")
	s.serve()
	s.shell("echo 44 > " + netfilter + "udp_timeout")
	s.start()
	b := openTab(t, chromium(t), 1280, 900)
	b.open("http://" + pageListen)

	sameAsKernel(b)
	b.until(`document.querySelectorAll("#history tbody tr").length >= 2`)
	s.shell("echo 55 > " + netfilter + "udp_timeout")
	b.until(`document.querySelector("#history tbody").innerText
		.includes("udp_timeout was 55, wanted 33: repaired in ")`)
	b.until(`document.querySelector("#settings tbody").innerText.includes("found 55, ")`)
	sameAsKernel(b)
	b.quiet()

	s.stop()
	b.until(`document.body.className === "away"`)
	before := b.rows("history")
	s.shell("echo 77 > " + netfilter + "udp_timeout")
	s.start()
	b.until(`document.body.className === "" && document.querySelector("#history tbody").innerText
		.includes("udp_timeout was 77, wanted 33: repaired in ")`)
	sameAsKernel(b)
	rows := b.rows("history")
	b.same("history over a restart", before, rows[len(rows)-len(before):])
	b.quiet("502 (Bad Gateway)")
}

// sameAsKernel compares the live values and figures of the page with the kernel's files.
func sameAsKernel(b *tab) {
	b.Helper()
	shown := map[string]string{}
	for _, row := range b.rows("settings") {
		cells := strings.Split(row, " | ")
		shown[cells[0]] = cells[3]
	}
	want := map[string]string{}
	for name, unit := range map[string]string{
		"udp_timeout": " s", "tcp_timeout_established": " s", "max": " connections",
	} {
		want[name] = kernel(b.T, name) + unit
	}
	b.same("settings", want, shown)
	figure := func(name string) string { return kernel(b.T, name) }
	for selector, want := range map[string]string{
		"#connections .sum": " of " + figure("max"), "#expectations .sum": " of " + figure("expect_max"),
		"#connection-facts": "Hash table " + figure("buckets"),
	} {
		if got := words(b.text(selector)); !strings.Contains(got, want) {
			b.Errorf("%s shows %q, the kernel has %q", selector, got, want)
		}
	}
	if got, want := words(b.text("#connections .sum")), figure("count")+" of "; !strings.Contains(got, want) {
		b.Errorf("the page shows %q connections, the kernel has %q", got, want)
	}
}
