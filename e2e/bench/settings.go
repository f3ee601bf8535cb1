package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settingsGap is the time between two writes of one setting: fewer than ten in ten seconds.
const settingsGap = 1150 * time.Millisecond

// measureSettings measures how long a foreign write lasts beside more and more settings: ctkeeper runs once for each
// number of them, and the same setting is written in turn.
func (b *bench) measureSettings() error {
	written := timeoutWants(1)
	minimal, err := b.startBare(written)
	if err != nil {
		return err
	}
	defer func() { _ = minimal.kill() }()
	keepers := []*process{minimal}
	others, err := otherWants()
	if err != nil {
		return err
	}
	for _, n := range []int{1, 10, 20, 40, 60} {
		wants := timeoutWants(min(n, len(timeouts)))
		for _, other := range others[:min(len(others), n-len(wants))] {
			name, value, _ := strings.Cut(other, "=")
			wants[name] = value
		}
		d := daemon{name: fmt.Sprint(n), wants: wants, rest: "enforcement:\n  resync: 1h\n", own: true}
		p, err := b.start(d)
		if err != nil {
			return err
		}
		defer func() { _ = p.stop() }()
		p.name = fmt.Sprintf("ctkeeper, settings: %d", len(wants))
		keepers = append(keepers, p)
	}
	time.Sleep(settleTime)
	progress("drift by number of settings, n=%d", b.slow)
	return b.writeTo("settings", cell{name: unpinned}, b.slow, settingsGap, written, keepers...)
}

// otherWants returns what has the values that it should have: the settings of a network namespace that are not in
// timeouts, as NAME=VALUE. Those of nf_log have the full name of the sysctl, and are compared as text.
func otherWants() (all []string, err error) {
	notOwn := []string{"max", "buckets", "expect_max", "count"}
	files, err := filepath.Glob(sysctlDir + "/*")
	if err != nil {
		return nil, err
	}
	logs, err := filepath.Glob(sysctlDir + "/nf_log/*")
	for _, file := range append(files, logs...) {
		name := strings.TrimPrefix(file, sysctlDir+"/")
		short, found := strings.CutPrefix(name, "nf_conntrack_")
		if !found {
			short = "net.netfilter." + strings.ReplaceAll(name, "/", ".")
		}
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || info.Mode()&0o200 == 0 || slices.Contains(append(notOwn, timeouts...), short) {
			continue
		}
		all = append(all, short+"="+read(file))
	}
	return all, err
}
