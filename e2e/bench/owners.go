package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// An owner is a program that sets a value and does not keep it, with the setting that it sets here.
type owner struct{ program, setting, value string }

var owners = []owner{
	{"TuneD", "tcp_timeout_established", "3600"},
	{"udev rule", "udp_timeout_stream", "3000"},
}

const foreignValue = "777"

// configureOwners writes the files of TuneD and of the udev rule. TuneD applies its own when it is started.
func configureOwners() error {
	const sysctl = "net.netfilter.nf_conntrack_"
	if err := writeFiles(map[string]string{
		"/etc/tuned/bench/tuned.conf": "[main]\nsummary=bench\n[sysctl]\n" +
			sysctl + owners[0].setting + "=" + owners[0].value + "\n",
		"/etc/tuned/active_profile": "bench\n",
		"/etc/tuned/profile_mode":   "manual\n",
		ruleFile:                    rule,
		sysctlFile:                  sysctl + owners[1].setting + " = " + owners[1].value + "\n",
	}); err != nil {
		return err
	}
	if err := udevadm("control", "--reload"); err != nil {
		return err
	}
	out, err := exec.Command("/lib/systemd/systemd-sysctl", "--prefix=/net/netfilter").CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemd-sysctl: %w: %s", err, out)
	}
	return nil
}

// spoilOwners writes a foreign value to what each owner has set.
func spoilOwners() error {
	for _, o := range owners {
		for begin := time.Now(); read(settingFile(o.setting)) != o.value; time.Sleep(100 * time.Millisecond) {
			if time.Since(begin) > readyTimeout {
				return fmt.Errorf("%s did not set %s", o.program, o.setting)
			}
		}
		if err := os.WriteFile(settingFile(o.setting), []byte(foreignValue), 0); err != nil {
			return err
		}
	}
	return nil
}

// reportOwners adds for each owner how long its setting has had the foreign value, 0 if it was repaired.
func (b *bench) reportOwners() {
	for _, o := range owners {
		s := series{Section: "owners", Program: o.program, Measure: "still wrong after", Unit: nanoseconds}
		s.Values = []float64{0}
		if read(settingFile(o.setting)) == foreignValue {
			s.Values[0] = float64(b.quiet)
		}
		b.report.add(s)
	}
	_ = os.Remove(ruleFile)
	_ = os.Remove(sysctlFile)
}

func writeFiles(contents map[string]string) error {
	for path, content := range contents {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
