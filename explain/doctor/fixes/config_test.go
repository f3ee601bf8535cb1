package fixes

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TestDropInNames: the file comes after the one that sets the value now.
func TestDropInNames(t *testing.T) {
	tests := map[string]struct {
		file string
		line int
		want string
	}{
		"the main file":          {"/etc/ctkeeper/ctkeeper.yaml", 3, "60-table.yaml"},
		"an earlier drop-in":     {"/etc/ctkeeper/conf.d/50-imported.yaml", 3, "60-table.yaml"},
		"itself":                 {"/etc/ctkeeper/conf.d/60-table.yaml", 2, "60-table.yaml"},
		"a later drop-in":        {"/etc/ctkeeper/conf.d/99-site.yaml", 2, "99-site_table.yaml"},
		"a later one of /usr":    {"/usr/lib/ctkeeper/conf.d/70-site.yaml", 2, "70-site_table.yaml"},
		"nobody":                 {"(default)", 0, "60-table.yaml"},
		"its like for hash size": {"/etc/ctkeeper/conf.d/60-table_hashsize.yaml", 2, "60-table_hashsize_table.yaml"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := doctortest.Config("max", "1000")
			c.Wants[0].Origin = tree.Place{File: test.file, Line: test.line}
			got := dropInName((&picture.Host{Config: c}), "table", []Entry{{"max", "2000"}})
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if last := path.Base(test.file); strings.Contains(test.file, "conf.d") && got < last {
				t.Errorf("%s comes before %s", got, last)
			}
		})
	}
}

// TestDefaultsStayFirst: what the embedded default asks for comes before the drop-ins
// of all findings, whatever their names.
func TestDefaultsStayFirst(t *testing.T) {
	c := doctortest.Config("hashsize", "32768", "max", "32768")
	c.UsesDefault = true
	for i := range c.Wants {
		c.Wants[i].Auto, c.Wants[i].Policy = true, sysfs.AtLeast
	}
	h := &picture.Host{Config: c}
	want := slices.Concat([]finding.Step{
		change.WriteFile("/etc/ctkeeper/conf.d/00-default.yaml", "settings:", "  hashsize: {at_least: auto}"),
		change.WriteFile("/etc/ctkeeper/conf.d/60-max.yaml", "settings:", "  max: 70000"),
	}, doctortest.Commands("ctkeeper apply"))
	if diff := cmp.Diff(want, Configure(h, "max", []Entry{{"max", "70000"}}, nil)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// TestConfigureWorks takes the steps, in a tree: the configuration that they make is
// valid, wins, and keeps what the embedded default asks for.
func TestConfigureWorks(t *testing.T) {
	tests := map[string]struct {
		before map[string]string
		want   []string
	}{
		"without a configuration": {nil, nil},
		"with one": {
			map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings:\n  max: 70000\n  expect_max: 100\n"},
			[]string{"max 70000", "expect_max 8192"},
		},
		"with a late drop-in": {
			map[string]string{"etc/ctkeeper/conf.d/99-site.yaml": "settings: {expect_max: 100}\n"},
			[]string{"expect_max 8192"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := kerneltree.New(t)
			doctortest.Put(t, root, test.before)
			before, err := config.Source{Root: root}.Load()
			if err != nil {
				t.Fatal(err)
			}
			h := &picture.Host{Config: before, Env: doctortest.Service()}
			fix := Configure(h, "expectations", []Entry{{"expect_max", "8192"}}, []Entry{{"expect_hashsize", "2048"}})
			further := doctortest.Commands("ctkeeper persist", "systemctl reload-or-restart ctkeeper")
			if diff := cmp.Diff(further, fix[len(fix)-2:]); diff != "" {
				t.Errorf("further commands (-want +got):\n%s", diff)
			}
			doctortest.Apply(t, root, fix)
			after, err := config.Source{Root: root}.Load()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range after.Wants {
				got = append(got, w.Setting.Name+" "+w.String())
			}
			if name == "without a configuration" { // whatever 4 GiB come to
				test.want = []string{"hashsize " + before.Wants[0].String(), "max " + before.Wants[1].String(),
					"expect_max 8192"}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wants (-want +got):\n%s", diff)
			}
			parameters := []config.Parameter{{Name: "expect_hashsize", Value: "2048"}}
			for i := range after.Module.Parameters {
				after.Module.Parameters[i].Origin = tree.Place{}
			}
			if diff := cmp.Diff(parameters, after.Module.Parameters); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSet: only a number that the kernel takes is written.
func TestSet(t *testing.T) {
	for _, value := range []string{"1;reboot", "", "$(reboot)", "-1", "99999999999999", "1 2"} {
		if steps := Set("max", value); steps != nil {
			t.Errorf("%q is written by %v", value, steps)
		}
	}
	for name, want := range map[string]string{
		"max":          "echo 65536 > /proc/sys/net/netfilter/nf_conntrack_max",
		sysfs.Hashsize: "echo 65536 > /sys/module/nf_conntrack/parameters/hashsize",
	} {
		if got := change.Render(Set(name, "65536"), ""); len(got) != 1 || got[0] != want {
			t.Errorf("%s is set by %q, want %q", name, got, want)
		}
	}
}
