package main

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

const (
	// kubeProxyTimeout is how long kube-proxy may take until it writes its values.
	kubeProxyTimeout = 90 * time.Second
	// kubeProxyStarts is how often it is started: a start takes many seconds on an emulated processor.
	kubeProxyStarts = 5
)

// measureKubeProxy measures how long the values that the real kube-proxy writes when it starts last beside ctkeeper.
func (b *bench) measureKubeProxy() error {
	program := filepath.Join(b.helpers, "kube-proxy")
	if read(program) == "" {
		progress("there is no kube-proxy here")
		return nil
	}
	stop, err := rig.ServeKubeAPI()
	if err != nil {
		return err
	}
	defer stop()
	wants := map[string]string{"max": "300000", "tcp_timeout_established": "7200", "tcp_timeout_close_wait": "7000"}
	p, err := b.start(daemon{name: "kube-proxy", wants: wants})
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	for range kubeProxyStarts {
		progress("start of kube-proxy")
		proxy := exec.Command(program, "--master=http://"+rig.KubeAPIAddress, "--hostname-override=node1",
			"--kube-api-content-type=application/json", "--conntrack-min=131072", "--conntrack-max-per-core=300000")
		if err := proxy.Start(); err != nil {
			return err
		}
		lasted, err := watchWrites(wants)
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(lasted)) {
			b.report.add(series{
				Section: "kube-proxy", Case: name, Program: ours, Measure: "total", Unit: nanoseconds,
				Values: []float64{float64(lasted[name])},
			})
		}
	}
	return nil
}

// watchWrites reads settings without a pause until each has been written and repaired. It returns how long each was
// seen wrong.
func watchWrites(wants map[string]string) (lasted map[string]time.Duration, err error) {
	files := map[string]int{}
	for name := range wants {
		if files[name], err = syscall.Open(settingFile(name), syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
			return nil, err
		}
		defer syscall.Close(files[name])
	}
	wrongSince, buf := map[string]time.Time{}, make([]byte, 64)
	lasted = map[string]time.Duration{}
	for begin := time.Now(); len(lasted) < len(wants); {
		for name, fd := range files {
			n, err := syscall.Pread(fd, buf, 0)
			if err != nil {
				return nil, err
			}
			isRight := string(buf[:max(0, n-1)]) == wants[name]
			since, wasWrong := wrongSince[name]
			switch {
			case !isRight && !wasWrong:
				wrongSince[name] = time.Now()
			case isRight && wasWrong && lasted[name] == 0:
				lasted[name] = time.Since(since)
			}
		}
		if time.Since(begin) > kubeProxyTimeout {
			return nil, errors.New(fmt.Sprint("kube-proxy's writes were seen for these only: ", lasted))
		}
	}
	return lasted, nil
}
