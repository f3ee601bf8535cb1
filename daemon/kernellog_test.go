package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/status"
)

func TestFullTable(t *testing.T) {
	for text, want := range map[string]string{
		"nf_conntrack: nf_conntrack: table full, dropping packet":                     status.TableFull,
		"nf_conntrack: table full, dropping packet":                                   status.TableFull,
		"nf_conntrack: expectation table full":                                        status.ExpectationsFull,
		"nf_conntrack: nf_conntrack: expectation table full":                          status.ExpectationsFull,
		"neighbour: arp_cache: neighbor table overflow!":                              "",
		"nf_conntrack: default automatic helper assignment has been turned off":       "",
		"other: table full, dropping packet":                                          "",
		"nf_conntrack: nf_conntrack: table full in netns 4026532201, dropping packet": status.TableFull,
	} {
		if got := fullTable(text); got != want {
			t.Errorf("fullTable(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestKernelMessages(t *testing.T) {
	var k kernelMessages
	k.add(status.TableFull) // nobody reads
	if got := k.snapshot(); got != nil {
		t.Errorf("counted %v, want nothing where nothing is read", got)
	}
	k.setReading(true)
	k.add(status.TableFull)
	k.add(status.TableFull)
	if diff := cmp.Diff(map[string]int64{status.TableFull: 2, status.ExpectationsFull: 0}, k.snapshot()); diff != "" {
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
