package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// history is a history file: each message is the number of its event.
const history = `{"at":"2026-02-01T00:00:00Z","event":"config-loaded","message":"1"}
{"at":"2026-02-02T00:00:00Z","event":"drift","setting":"max","by":{"comm":"sysctl","unit":"ssh.service"},"message":"2"}
{"at":"2026-02-03T00:00:00Z","event":"drift","setting":"hashsize","by":{"comm":"tuned"},"message":"3"}
{"at":"2026-02-04T00:00:00Z","event":"forbidden","settings":["max","hashsize"],"message":"4"}
{"at":"2026-02-05T00:00:00Z","event":"drift","setting":"max","message":"5"}
`

func TestEventsSelected(t *testing.T) {
	root := host(t, standing)
	kerneltree.Put(t, root, "var/lib/ctkeeper/events.jsonl", history)
	tests := map[string]string{ // arguments → messages
		"":                           "1 2 3 4 5",
		"-n 2":                       "4 5",
		"-n 0":                       "",
		"--lines 100":                "1 2 3 4 5",
		"--setting max":              "2 4 5",
		"--setting buckets":          "3 4",
		"--setting nf_conntrack_max": "2 4 5",
		"--setting net.netfilter.nf_conntrack_max --kind drift": "2 5",
		"--setting max --setting hashsize --kind drift -n 2":    "3 5",
		"--setting max --setting hashsize":                      "2 3 4 5",
		"--setting net.netfilter.nf_of_kernels_to_come":         "",
		"--kind forbidden --kind config-loaded":                 "1 4",
		"--by ssh":                                              "2",
		"--by tuned --kind drift":                               "3",
		"--by nobody":                                           "",
		"--since 2026-02-03T12:00 --setting max -n 1":           "5",
	}
	for args, want := range tests {
		t.Run(args, func(t *testing.T) {
			got := ctkeeper(t.Context(), append(strings.Fields(args), "events", "--root", root, "-o", "json")...)
			var messages []string
			for line := range strings.Lines(got.stdout) {
				_, message, _ := strings.Cut(line, `"message":"`)
				messages = append(messages, message[:1])
			}
			if shown := strings.Join(messages, " "); shown != want || got.status != 0 {
				t.Errorf("shows %q, want %q (status %d)", shown, want, got.status)
			}
		})
	}
}

// TestEventsFollowSelected: the filters hold for the history and for what follows.
func TestEventsFollowSelected(t *testing.T) {
	root := host(t, drifting)
	start(t, root)
	eventually(t, "the daemon answers", func() bool {
		return strings.Contains(ctkeeper(t.Context(), "events", "--root", root).stdout, "max was 65536")
	})
	ctx, cancel := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	args := []string{"events", "-f", "-n", "1", "--setting", "max", "--kind", "drift", "--root", root}
	execute(ctx, args, writer(func(text []byte) {
		stdout.Write(text)
		if bytes.Contains(stdout.Bytes(), []byte("max was 1000")) {
			cancel()
			return
		}
		kerneltree.Set(t, root, "hashsize", "512")
		eventually(t, "hashsize is repaired", func() bool { return kerneltree.Get(t, root, "hashsize") == "131072" })
		kerneltree.Set(t, root, "max", "1000")
	}), &bytes.Buffer{})
	var settings []string
	for line := range strings.Lines(stdout.String()) {
		setting, _, _ := strings.Cut(line, ", wanted")
		settings = append(settings, strings.Join(strings.Fields(setting)[2:], " "))
	}
	if diff := cmp.Diff([]string{"max was 65536", "max was 1000"}, settings); diff != "" {
		t.Errorf("events (-want +got):\n%s%s", diff, stdout.String())
	}
}
