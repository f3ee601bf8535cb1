package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// fullHistory is how many events ctkeeper keeps.
	fullHistory = 1024
	// afterStart is how long programs run before their rest is measured.
	afterStart = 10 * time.Second
)

// measureStarts measures the sizes of the programs, and the time from fork to READY with the module loaded and all
// values applied.
func (b *bench) measureStarts() error {
	progress("starts, n=%d", b.starts)
	programs, err := filepath.Glob(filepath.Dir(b.ctkeeper) + "/ctkeeper*")
	if err != nil {
		return err
	}
	for _, program := range programs {
		info, err := os.Stat(program)
		if err != nil {
			return err
		}
		b.report.add(series{
			Section: "size", Program: filepath.Base(program), Measure: "size", Unit: mebibytes,
			Values: []float64{float64(info.Size()) / (1 << 20)},
		})
	}
	for range b.starts {
		p, err := b.start(daemon{name: "start", wants: timeoutWants(len(timeouts))})
		if err != nil {
			return err
		}
		b.report.add(series{
			Section: "start", Program: ours, Measure: "total", Unit: nanoseconds, Values: []float64{float64(p.toReady)},
		})
		if err := p.stop(); err != nil {
			return err
		}
	}
	return nil
}

// measureRest measures what programs cost that have nothing to do, all of them at the same time: ctkeeper with a full
// history, without and with the guard, and in the virtual machine Debian's services.
func (b *bench) measureRest() error {
	progress("at rest, %s", b.quiet)
	history, err := b.makeHistory()
	if err != nil {
		return err
	}
	leave, err := b.enterOwnCgroups()
	if err != nil {
		return err
	}
	defer leave()
	pids := map[string][]int{}
	for _, d := range []daemon{
		{name: ours, wants: timeoutWants(len(timeouts)), own: true},
		{name: withGuard, wants: timeoutWants(len(timeouts)), rest: "guard: watch\n", own: true},
	} {
		if err := os.MkdirAll(stateDir(filepath.Join(b.dir, d.name)), 0o755); err != nil {
			return err
		}
		file := filepath.Join(stateDir(filepath.Join(b.dir, d.name)), filepath.Base(history))
		if err := os.Link(history, file); err != nil {
			return err
		}
		p, err := b.start(d)
		if err != nil {
			return err
		}
		defer func() { _ = p.stop() }()
		if d.name == withGuard && !hasGuard(p.cmd.Process.Pid) {
			return errors.New("the guard is not available here")
		}
		pids[d.name] = []int{p.cmd.Process.Pid}
	}
	if !b.module {
		time.Sleep(afterStart)
		return b.measureUsage(pids)
	}
	if err := configureOwners(); err != nil {
		return err
	}
	defer stopServices()
	if err := startServices(pids); err != nil {
		return err
	}
	if err := spoilOwners(); err != nil {
		return err
	}
	time.Sleep(afterStart)
	err = b.measureUsage(pids)
	b.reportOwners()
	return err
}

const withGuard = "ctkeeper with guard"

// measureUsage adds to the report what processes use in the quiet time, by program.
func (b *bench) measureUsage(pids map[string][]int) error {
	before, err := usages(pids)
	if err != nil {
		return err
	}
	time.Sleep(b.quiet)
	after, err := usages(pids)
	if err != nil {
		return err
	}
	for _, program := range append([]string{ours, withGuard}, serviceNames()...) {
		u, found := after[program]
		if !found {
			continue
		}
		wakes, cpu := u.wakes-before[program].wakes, u.cpu-before[program].cpu
		for _, s := range []series{
			{Measure: "resident", Unit: mebibytes, Values: []float64{float64(u.rss) / 1024}},
			{Measure: "of it file pages", Unit: mebibytes, Values: []float64{float64(u.rssFile) / 1024}},
			{Measure: "Pss_Anon", Unit: mebibytes, Values: []float64{float64(u.pssAnonymous) / 1024}},
			{Measure: "of it huge pages", Unit: mebibytes, Values: []float64{float64(u.huge) / 1024}},
			{Measure: "wake-ups", Unit: perSecond, Values: []float64{float64(wakes) / b.quiet.Seconds()}},
			{Measure: "CPU", Unit: percent, Values: []float64{100 * cpu.Seconds() / b.quiet.Seconds()}},
		} {
			s.Section, s.Case, s.Program = "rest", b.quiet.String(), program
			b.report.add(s)
		}
	}
	return nil
}

// makeHistory returns a file with a full history: the events of a few repairs, many times.
func (b *bench) makeHistory() (string, error) {
	wants := timeoutWants(len(timeouts))
	p, err := b.start(daemon{name: "history", wants: wants, own: true})
	if err != nil {
		return "", err
	}
	writer := exec.Command(filepath.Join(b.helpers, "writer"), append([]string{
		"drift", strconv.Itoa(len(wants)), "10000", strconv.Itoa(p.cmd.Process.Pid),
	}, assignments(wants, "")...)...)
	out, err := writer.CombinedOutput()
	if err := errors.Join(err, p.stop()); err != nil {
		return "", fmt.Errorf("cannot make a history: %w: %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(stateDir(filepath.Join(b.dir, "history")), "*"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("ctkeeper keeps its history in %v: %w", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return "", err
	}
	lines := bytes.Count(text, []byte("\n"))
	if lines < len(wants) {
		return "", fmt.Errorf("%d repairs are %d lines of history", len(wants), lines)
	}
	return files[0], os.WriteFile(files[0], bytes.Repeat(text, fullHistory/lines+1), 0o640)
}

// hasGuard reports whether a process has a BPF program attached: fdinfo of a bpf_link says of what type it is.
func hasGuard(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	for _, file := range files {
		if strings.Contains(read(file), "link_type:") {
			return true
		}
	}
	return false
}

// services are Debian's, by the name in the report.
var services = []struct{ name, unit string }{
	{"systemd-udevd", "systemd-udevd.service"},
	{"chronyd", "chrony.service"},
	{"node_exporter", "prometheus-node-exporter.service"},
	{"TuneD", "tuned.service"},
}

func serviceNames() (all []string) {
	for _, s := range services {
		all = append(all, s.name)
	}
	return all
}

// stopServices stops those that are not always there.
func stopServices() {
	for _, s := range services[1:] {
		_, _ = exec.Command("systemctl", "stop", s.unit).CombinedOutput()
	}
}

// startServices starts services and adds their processes. The exporter is scraped once, as it would be used.
func startServices(pids map[string][]int) error {
	for _, s := range services {
		if out, err := exec.Command("systemctl", "start", s.unit).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot start %s: %w: %s", s.unit, err, out)
		}
		group, err := exec.Command("systemctl", "show", "--value", "-p", "ControlGroup", s.unit).Output()
		if err != nil {
			return err
		}
		// systemd-udevd has its processes one level below its own cgroup.
		own := filepath.Join("/sys/fs/cgroup", strings.TrimSpace(string(group)), "cgroup.procs")
		below, _ := filepath.Glob(filepath.Join(filepath.Dir(own), "*/cgroup.procs"))
		for _, file := range append(below, own) {
			for pid := range strings.FieldsSeq(read(file)) {
				n, _ := strconv.Atoi(pid)
				pids[s.name] = append(pids[s.name], n)
			}
		}
	}
	answer, err := http.Get("http://127.0.0.1:9100/metrics")
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
