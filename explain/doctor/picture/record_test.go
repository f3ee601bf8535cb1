package picture_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/status"
)

// history has the events of two boots: the later one began at 2026-03-01T08:00:00Z.
const history = `{"at":"2026-02-27T10:00:00Z","event":"module-unload","message":"nf_conntrack was unloaded"}
{"at":"2026-02-28T10:00:00Z","event":"drift","setting":"max","found":5,"cause":"write","by":{"comm":"old"}}
{"at":"2026-03-01T10:00:00Z","event":"drift","setting":"max","found":131072,"cause":"write","by":{"pid":9,` +
	`"comm":"kube-proxy","unit":"kube-proxy.service"}}
{"at":"2026-03-01T10:00:01Z","event":"drift","setting":"max","found":131072,"cause":"resync"}
{"at":"2026-03-01T10:00:02Z","event":"drift","setting":"max","found":6,"cause":"module-load","by":{"comm":"modprobe"}}
{"at":"2026-03-01T11:00:00Z","event":"drift","setting":"max","found":7,"cause":"write","by":{"pid":12,"comm":"sysctl"}}
{"at":"2026-03-01T12:00:00Z","event":"drift","setting":"max","found":131072,"cause":"write","by":{"pid":10,` +
	`"comm":"kube-proxy","unit":"kube-proxy.service"}}
{"at":"2026-03-01T12:00:01Z","event":"dri`

const booted = "cpu 1 2\nbtime 1772352000\n"

func TestWriteEvidence(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, map[string]string{"var/lib/ctkeeper/events.jsonl": history, "proc/stat": booted})
	h := doctortest.Take(t, root)
	var texts []string
	for _, e := range h.WriteEvidence("max", "131072") {
		texts = append(texts, e.Place.String()+": "+e.Text)
	}
	want := []string{"/var/lib/ctkeeper/events.jsonl: max was set to 131072 by kube-proxy (pid 10, " +
		"kube-proxy.service) at 2026-03-01T12:00:00Z"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	var writers []string
	for _, w := range h.Writers("max") {
		writers = append(writers, w.Comm+" "+w.Found)
	}
	if diff := cmp.Diff([]string{"kube-proxy 131072", "sysctl 7"}, writers); diff != "" {
		t.Errorf("writers (-want +got):\n%s", diff)
	}
	if got := h.WriteEvidence("max", "5"); len(got) > 0 {
		t.Errorf("a write of an earlier boot is evidence: %v", got)
	}
}

func TestLoadedAgain(t *testing.T) {
	line := "[   %s] nf_conntrack version 0.5.0 (16384 buckets, 65536 max)\n"
	at := func(when string) string { return strings.ReplaceAll(line, "%s", when) }
	load := `{"at":"2026-03-01T10:00:00Z","event":"module-load","message":"m"}` + "\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":         {nil, ""},
		"unloaded before": {map[string]string{"var/lib/ctkeeper/events.jsonl": history}, ""},
		"loaded once":     {map[string]string{"var/lib/ctkeeper/events.jsonl": load}, ""},
		"loaded twice": {map[string]string{
			"var/lib/ctkeeper/events.jsonl": load + load,
		}, "/var/lib/ctkeeper/events.jsonl"},
		"logged once each": {map[string]string{"var/log/dmesg": at("3.1"), "var/log/kern.log": at("3.1")}, ""},
		"logged twice":     {map[string]string{"var/log/dmesg": at("3.1") + at("400.2")}, "/var/log/dmesg:2"},
		"unloaded": {map[string]string{
			"var/lib/ctkeeper/events.jsonl": strings.ReplaceAll(load, "module-load", "module-unload"),
		}, "/var/lib/ctkeeper/events.jsonl"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			doctortest.Put(t, root, map[string]string{"proc/stat": booted})
			doctortest.Put(t, root, test.files)
			got, ok := doctortest.Take(t, root).LoadedAgain()
			if got.Place.String() != test.want || ok != (test.want != "") {
				t.Errorf("loaded again: %t by %v, want %q", ok, got, test.want)
			}
		})
	}
}

func TestRuns(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, map[string]string{"proc/7/cmdline": "/usr/bin/kube-proxy\x00--v=2\x00"})
	h := doctortest.Take(t, root)
	if p, runs := h.Runs("kube-proxy"); !runs || p.PID != 7 {
		t.Errorf("kube-proxy runs: %t, %+v", runs, p)
	}
	if _, runs := h.Runs("firewalld"); runs {
		t.Error("firewalld runs")
	}
}

func TestHistoryFile(t *testing.T) {
	if path := status.HistoryPath("/root"); path != "/root"+picture.HistoryFile {
		t.Errorf("the daemon keeps its history in %s, and doctor reads %s", path, picture.HistoryFile)
	}
}
