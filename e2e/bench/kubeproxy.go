package main

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

const (
	// kubeProxyTimeout is how long kube-proxy may take until it has written its values.
	kubeProxyTimeout = 90 * time.Second
	// kubeProxyStarts is how often it is started: a start takes many seconds on an emulated processor.
	kubeProxyStarts = 5
	// lookEvery is the time between two looks at a value. With less the looking takes the processor from both.
	lookEvery = 100 * time.Microsecond
)

// measureKubeProxy measures how long the values that the real kube-proxy writes when it starts are seen beside
// ctkeeper. A value that was repaired before it was seen counts as 0.
func (b *bench) measureKubeProxy() error {
	stop, err := rig.ServeKubeAPI()
	if err != nil {
		return err
	}
	defer stop()
	wants := map[string]string{"max": "300000", "tcp_timeout_established": "7200", "tcp_timeout_close_wait": "7000"}
	p, err := b.start(daemon{name: "kube-proxy", wants: wants, rest: "enforcement:\n  resync: 1h\n"})
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	for i := range kubeProxyStarts {
		progress("start %d of kube-proxy", i+1)
		proxy := exec.Command(filepath.Join(b.helpers, "kube-proxy"), "--master=http://"+rig.KubeAPIAddress,
			"--hostname-override=node1", "--kube-api-content-type=application/json", "--conntrack-min=131072",
			"--conntrack-max-per-core=300000")
		if err := proxy.Start(); err != nil {
			return err
		}
		seen := map[string]time.Duration{}
		for begin := time.Now(); !b.hasRepaired(i+1, wants); {
			if err == nil {
				err = lookFor(time.Second, wants, seen)
			}
			if err == nil && time.Since(begin) > kubeProxyTimeout {
				err = errors.New("ctkeeper did not repair what kube-proxy should write")
			}
			if err != nil {
				break
			}
		}
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(wants)) {
			b.report.add(series{
				Section: "kube-proxy", Case: name, Program: ours, Measure: "total", Unit: nanoseconds,
				Values: []float64{float64(seen[name])},
			})
		}
	}
	return nil
}

// hasRepaired reports whether ctkeeper's history has the repair of each setting by a start of kube-proxy. The first
// events are those of ctkeeper's own start.
func (b *bench) hasRepaired(starts int, wants map[string]string) bool {
	files, _ := filepath.Glob(filepath.Join(stateDir(filepath.Join(b.dir, "kube-proxy")), "*"))
	for name := range wants {
		writes := 0
		for _, file := range files {
			for line := range strings.Lines(read(file)) {
				if strings.Contains(line, `"`+name+`"`) && strings.Contains(line, `"write"`) {
					writes++
				}
			}
		}
		if writes < starts {
			return false
		}
	}
	return true
}

// lookFor looks at settings for a while, and adds how long each has been seen with a wrong value. It looks before
// every other program that is ready to run.
func lookFor(duration time.Duration, wants map[string]string, seen map[string]time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	first := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	if err := unix.SchedSetAttr(0, &first, 0); err != nil {
		return fmt.Errorf("cannot look before others: %w", err)
	}
	defer func() {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
	}()
	files := map[string]int{}
	for name := range wants {
		fd, err := unix.Open(settingFile(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		files[name] = fd
	}
	pause, buf := unix.NsecToTimespec(int64(lookEvery)), make([]byte, 64)
	last := time.Now()
	for begin := last; time.Since(begin) < duration; {
		_ = unix.Nanosleep(&pause, nil)
		now := time.Now()
		for name, fd := range files {
			n, err := unix.Pread(fd, buf, 0)
			if err != nil {
				return err
			}
			if string(buf[:max(0, n-1)]) != wants[name] {
				seen[name] += now.Sub(last)
			}
		}
		last = now
	}
	return nil
}
