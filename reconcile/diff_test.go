package reconcile

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

var diffOrderTests = []struct {
	name  string
	wants []string
	found []string
	order []string
}{
	{"raising both", []string{"hashsize=1024", "max=8192"}, []string{"512", "4096"}, []string{"hashsize", "max"}},
	{
		"raising both, configured in the other order",
		[]string{"max=8192", "hashsize=1024"},
		[]string{"4096", "512"},
		[]string{"hashsize", "max"},
	},
	{"lowering both", []string{"hashsize=512", "max=4096"}, []string{"1024", "8192"}, []string{"max", "hashsize"}},
	{
		"lowering both, configured in the other order",
		[]string{"max=4096", "hashsize=512"},
		[]string{"8192", "1024"},
		[]string{"max", "hashsize"},
	},
	{
		"hashsize up, max down",
		[]string{"hashsize=1024", "max=4096"},
		[]string{"512", "8192"},
		[]string{"hashsize", "max"},
	},
	{
		"lowering from no limit",
		[]string{"hashsize=512", "max=4096"},
		[]string{"1024", "0"},
		[]string{"max", "hashsize"},
	},
	{
		"thresholds up",
		[]string{"frag6_high_thresh=8000", "frag6_low_thresh=6000"},
		[]string{"4000", "3000"},
		[]string{"frag6_high_thresh", "frag6_low_thresh"},
	},
	{
		"thresholds down",
		[]string{"frag6_high_thresh=2000", "frag6_low_thresh=1000"},
		[]string{"4000", "3000"},
		[]string{"frag6_low_thresh", "frag6_high_thresh"},
	},
	{
		"pairs among others",
		[]string{"hashsize=512", "udp_timeout=1", "max=1", "acct=1", "frag6_high_thresh=2", "frag6_low_thresh=1"},
		[]string{"1024", "9", "9", "0", "9", "8"},
		[]string{"udp_timeout", "acct", "frag6_low_thresh", "frag6_high_thresh", "max", "hashsize"},
	},
}

func TestDiffOrders(t *testing.T) {
	for _, tt := range diffOrderTests {
		t.Run(tt.name, func(t *testing.T) {
			observed := Observation{Module: Module{Present: true}}
			for _, value := range tt.found {
				observed.Readings = append(observed.Readings, Reading{Value: sysfs.Lookup("max").Parse(value)})
			}
			_, changes := diff(nil, desire(t, tt.wants...).Wants, observed)
			var order []string
			for _, c := range changes {
				order = append(order, c.Want.Setting.Name)
				if c.Found != observed.Readings[c.Index].Value {
					t.Errorf("%s: found %s, the reading at its index is %s",
						c.Want.Setting.Name, c.Found, observed.Readings[c.Index].Value)
				}
			}
			if diff := cmp.Diff(tt.order, order); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDiffStates(t *testing.T) {
	tests := []struct {
		name    string
		want    string
		reading Reading
		present bool
		state   State
		changes int
	}{
		{"equal", "max=5", Reading{Value: sysfs.Lookup("max").Parse("5")}, true, InSync, 0},
		{"different", "max=5", Reading{Value: sysfs.Lookup("max").Parse("6")}, true, Drifted, 1},
		{
			"rounded up by the kernel",
			"hashsize=10000",
			Reading{Value: sysfs.Lookup("max").Parse("10240")},
			true,
			InSync,
			0,
		},
		{"at least, more", "max>=5", Reading{Value: sysfs.Lookup("max").Parse("6")}, true, InSync, 0},
		{"at least, less", "max>=5", Reading{Value: sysfs.Lookup("max").Parse("4")}, true, Drifted, 1},
		{"at least, no limit", "max>=5", Reading{Value: sysfs.Lookup("max").Parse("0")}, true, InSync, 0},
		{"at most, more", "udp_timeout<=5", Reading{Value: sysfs.Lookup("max").Parse("6")}, true, Drifted, 1},
		{"not a number", "max=5", Reading{Value: sysfs.Lookup("max").Parse("five")}, true, Drifted, 1},
		{"no file, module there", "max=5", Reading{Err: fmt.Errorf("x: %w", syscall.ENOENT)}, true, Unsupported, 0},
		{"no file, module absent", "max=5", Reading{Err: syscall.ENOENT}, false, Pending, 0},
		{"dead descriptor", "max=5", Reading{Err: syscall.ENODEV}, false, Pending, 0},
		{
			"file outlives the module",
			"frag6_timeout=5",
			Reading{Value: sysfs.Lookup("max").Parse("5")},
			false,
			InSync,
			0,
		},
		{"may not read", "max=5", Reading{Err: syscall.EACCES}, true, Forbidden, 0},
		{"broken", "max=5", Reading{Err: errors.New("odd")}, true, Failed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			states, changes := diff(nil, desire(t, tt.want).Wants, Observation{
				Module: Module{Present: tt.present}, Readings: []Reading{tt.reading},
			})
			if diff := cmp.Diff([]State{tt.state}, states); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if len(changes) != tt.changes {
				t.Errorf("%d changes, want %d", len(changes), tt.changes)
			}
		})
	}
}
