package main

import (
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// readHost returns what this runs on, and the version of the built ctkeeper.
func readHost(ctkeeper string) host {
	h := host{
		Kernel: read("/proc/sys/kernel/osrelease"), Processors: runtime.NumCPU(), Date: time.Now().UTC(),
		Version: readVersion(ctkeeper),
	}
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			h.Processor = strings.TrimSpace(value)
			break
		}
	}
	return h
}

// readVersion returns the version of a built ctkeeper: `ctkeeper version` prints "ctkeeper VERSION …".
func readVersion(ctkeeper string) string {
	out, err := exec.Command(ctkeeper, "version").Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) < 2 {
		return ""
	}
	return fields[1]
}
