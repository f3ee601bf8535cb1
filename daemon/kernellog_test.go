package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/metrics"
)

func TestFullTable(t *testing.T) {
	for text, want := range map[string]string{
		"nf_conntrack: nf_conntrack: table full, dropping packet":                     metrics.TableFull,
		"nf_conntrack: table full, dropping packet":                                   metrics.TableFull,
		"nf_conntrack: expectation table full":                                        metrics.ExpectationsFull,
		"nf_conntrack: nf_conntrack: expectation table full":                          metrics.ExpectationsFull,
		"neighbour: arp_cache: neighbor table overflow!":                              "",
		"nf_conntrack: default automatic helper assignment has been turned off":       "",
		"other: table full, dropping packet":                                          "",
		"nf_conntrack: nf_conntrack: table full in netns 4026532201, dropping packet": metrics.TableFull,
	} {
		if got := fullTable(text); got != want {
			t.Errorf("fullTable(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestKernelMessages(t *testing.T) {
	var k kernelMessages
	k.add(metrics.TableFull) // nobody reads
	if got := k.snapshot(); got != nil {
		t.Errorf("counted %v, want nothing where nothing is read", got)
	}
	k.setReading(true)
	k.add(metrics.TableFull)
	k.add(metrics.TableFull)
	if diff := cmp.Diff(map[string]int64{metrics.TableFull: 2, metrics.ExpectationsFull: 0}, k.snapshot()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// A tree has no log to follow: nothing is counted, and nothing said.
func TestNoKernelLog(t *testing.T) {
	d := start(t, kerneltree.New(t), "settings: {max: 100000}\n")
	d.wait("no counts", func() bool { return d.status().Table.KernelMessages == nil })
	if d.logged("kernel log") {
		t.Error("the missing log is said, and not at the level debug")
	}
}
