//go:build guest

package scenarios

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	exporterUnit    = "ctkeeper-exporter.service"
	exporterSocket  = "ctkeeper-exporter.socket"
	exporterDefault = "/etc/default/ctkeeper-exporter"
	exporterAddress = "127.0.0.1:9466"
)

// get asks the exporter until it answers with a status, and returns the body.
func get(t *testing.T, address, path, host string, status int) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	text, last := "", ""
	eventually(t, 3*prompt, fmt.Sprintf("%s%s answers %d", address, path, status), func() bool {
		request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := client.Do(request)
		if err != nil {
			last = err.Error()
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		text, last = string(body), response.Status
		return err == nil && response.StatusCode == status
	})
	t.Logf("%s%s: %s", address, path, last)
	return text
}

// scrape returns the values that the exporter has, by series. It reads a textfile: a scrape over TCP would have its
// connections in the table that the scenarios measure.
func scrape(t *testing.T) map[string]float64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ctkeeper.prom")
	exporter := exec.Command("ctkeeper-exporter", "--textfile="+filepath.Dir(file))
	if err := exporter.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = exporter.Process.Kill(), exporter.Wait() }()
	var text []byte
	eventually(t, 3*prompt, "a textfile", func() bool {
		var err error
		text, err = os.ReadFile(file)
		return err == nil
	})
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if series, number, found := strings.Cut(strings.TrimSpace(line), " "); found && series != "#" {
			value, err := strconv.ParseFloat(number, 64)
			if err != nil {
				t.Fatal(err)
			}
			values[series] = value
		}
	}
	return values
}

// metric returns the value of a series.
func metric(t *testing.T, series string) float64 {
	t.Helper()
	value, found := scrape(t)[series]
	if !found {
		t.Fatalf("the exporter has no %s", series)
	}
	return value
}

// checkUp checks what the exporter serves of the daemon.
func checkUp(t *testing.T, want string) string {
	t.Helper()
	text := get(t, exporterAddress, "/metrics", "", http.StatusOK)
	if !strings.Contains(text, "\nctkeeper_up "+want+"\n") {
		t.Errorf("want ctkeeper_up %s:\n%s", want, text)
	}
	return text
}

// checkRepair writes a value and waits for its repair.
func checkRepair(t *testing.T, while string) {
	t.Helper()
	write(t, sysctl("max"), "65536")
	t.Logf("%s: repaired in %s", while, waitApplied(t, prompt, usualValues))
}

// TestExporter: the exporter serves metrics and page as a user without rights, says when the daemon is gone, and
// whatever happens to it, settings are repaired.
func TestExporter(t *testing.T) {
	startWithModule(t)
	run(t, "systemctl", "start", exporterUnit)
	text := checkUp(t, "1")
	if !strings.Contains(text, "ctkeeper_setting_live{setting=\"max\"} 300000\n") {
		t.Errorf("metrics:\n%s", text)
	}
	if text := get(t, exporterAddress, "/", "", http.StatusOK); !strings.Contains(text, "<html") {
		t.Errorf("page:\n%s", text)
	}
	get(t, exporterAddress, "/v1/page", "localhost:9466", http.StatusOK)
	get(t, exporterAddress, "/v1/page", "rebound.example", http.StatusMisdirectedRequest)
	get(t, exporterAddress, "/-/ready", "", http.StatusOK)
	pid := exporterPID(t)
	rights, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"CapBnd:\t0000000000000000\n", "Seccomp:\t2\n", "NoNewPrivs:\t1\n"} {
		if !strings.Contains(string(rights), line) {
			t.Errorf("no %q in\n%s", line, rights)
		}
	}
	if strings.Contains(string(rights), "Uid:\t0\t") {
		t.Error("the exporter runs as root")
	}

	run(t, "systemctl", "stop", unit)
	if text := checkUp(t, "0"); strings.Contains(text, "ctkeeper_setting_live") {
		t.Errorf("stale metrics:\n%s", text)
	}
	get(t, exporterAddress, "/v1/page", "", http.StatusBadGateway)
	get(t, exporterAddress, "/healthz", "", http.StatusOK)
	get(t, exporterAddress, "/-/ready", "", http.StatusServiceUnavailable)
	run(t, "systemctl", "start", unit)
	checkUp(t, "1")

	if again := exporterPID(t); again != pid {
		t.Errorf("the exporter is process %d, was %d", again, pid)
	}
	kill(t, pid, syscall.SIGSTOP)
	checkRepair(t, "the exporter is frozen")
	kill(t, pid, syscall.SIGKILL)
	checkRepair(t, "the exporter is killed")
	eventually(t, 4*prompt, "another exporter", func() bool {
		again := exporterPID(t)
		return again != 0 && again != pid
	})
	get(t, exporterAddress, "/metrics", "", http.StatusOK)
}

// TestExporterOnASocket: the flags come from /etc/default, and the sockets from a unit of systemd.
func TestExporterOnASocket(t *testing.T) {
	startWithModule(t)
	const socketFile = "/etc/systemd/system/" + exporterSocket
	t.Cleanup(func() {
		_, _ = try(t, "systemctl", "stop", exporterSocket, exporterUnit)
		_, _ = os.Remove(socketFile), os.Remove(exporterDefault)
		run(t, "systemctl", "daemon-reload")
	})
	writeFile(t, socketFile, "[Socket]\nListenStream=127.0.0.1:9468\n")
	writeFile(t, exporterDefault, "ARGS=--web.systemd-socket --web.telemetry-path=/other\n")
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "start", exporterSocket)
	if text := get(t, "127.0.0.1:9468", "/other", "", http.StatusOK); !strings.Contains(text, "\nctkeeper_up 1\n") {
		t.Errorf("metrics:\n%s", text)
	}
}

func exporterPID(t *testing.T) int {
	t.Helper()
	return number(t, run(t, "systemctl", "show", "--value", "-p", "MainPID", exporterUnit))
}

func kill(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}
