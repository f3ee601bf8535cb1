package doctor

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

const gib = 1 << 30

// figures are entries, max, buckets, expectations, expect_max; -9 is not known.
func figures(n ...int64) table.Figures {
	const unknown = -9
	at := func(i int) *int64 {
		if n[i] == unknown {
			return nil
		}
		return &n[i]
	}
	return table.Figures{Entries: at(0), Max: at(1), Buckets: at(2), Expectations: at(3), ExpectMax: at(4)}
}

// asks is a configuration of one file, with settings given as name, value.
func asks(t *testing.T, settings ...string) *config.Config {
	t.Helper()
	c := &config.Config{Files: []string{config.DefaultMain}}
	for i := 0; i < len(settings); i += 2 {
		s := sysfs.Lookup(settings[i])
		if s == nil {
			t.Fatalf("no such setting: %s", settings[i])
		}
		c.Wants = append(c.Wants, sysfs.Want{Setting: s, Policy: sysfs.Exactly, Value: settings[i+1], Origin: config.DefaultMain + ":2"})
	}
	return c
}

func logOf(texts ...string) klog.Log {
	log := klog.Log{Sources: []string{"/dev/kmsg"}}
	for i, text := range texts {
		log.Messages = append(log.Messages, klog.Message{
			Source: tree.Place{File: "/dev/kmsg"}, Text: text,
			At: time.Date(2026, 3, 1, 10, i, 0, 0, time.UTC),
		})
	}
	return log
}

const (
	makeDropIns = "mkdir -p /etc/ctkeeper/conf.d && printf '%s\\n' "
	reload      = "systemctl reload-or-restart ctkeeper"
)

func service() Place { return Place{Systemd: true, Installed: true, Enabled: true} }

func TestSizing(t *testing.T) {
	raise := []string{makeDropIns + "'settings:' '  max: 131072' '  hashsize: 131072' > /etc/ctkeeper/conf.d/60-table.yaml", reload}
	raiseNote := "A full table of 131072 connections takes 49 MiB."
	tests := map[string]struct {
		host *Host
		want []Finding
	}{
		"nothing is known":   {&Host{}, nil},
		"room enough":        {&Host{Figures: figures(100, 65536, 65536, 0, 1024), MemTotal: 4 * gib}, nil},
		"no module, no file": {&Host{Figures: figures(-9, -9, -9, -9, -9), MemTotal: 4 * gib}, nil},
		"full": {&Host{Figures: figures(65000, 65536, 65536, 0, 1024), MemTotal: 4 * gib, Place: service()}, []Finding{{
			ID: "table-full", Severity: Error, Summary: "the connection table is 99 % full: 65000 of 65536",
			Evidence: []Evidence{seen(countFile, 0, "65000"), seen(maxFile, 0, "65536")}, Fix: raise, Note: raiseNote,
		}}},
		"filling": {&Host{Figures: figures(52429, 65536, 65536, 0, 1024), MemTotal: 4 * gib, Place: service()}, []Finding{{
			ID: "table-filling", Severity: Warning, Summary: "the connection table is 80 % full: 52429 of 65536",
			Evidence: []Evidence{seen(countFile, 0, "52429"), seen(maxFile, 0, "65536")}, Fix: raise, Note: raiseNote,
		}}},
		"full, and the configuration asks for more": {
			&Host{
				Figures: figures(65536, 65536, 65536, 0, 1024), MemTotal: 4 * gib, Place: Place{},
				Config: asks(t, "max", "262144"), Settings: map[string]string{"max": "65536"},
			}, []Finding{{
				ID: "table-full", Severity: Error, Summary: "the connection table is 100 % full: 65536 of 65536",
				Evidence: []Evidence{seen(countFile, 0, "65536"), seen(maxFile, 0, "65536")},
				Fix:      []string{"ctkeeper apply"}, Note: "The configuration asks for 262144 (/etc/ctkeeper/ctkeeper.yaml:2), and that is not in force.",
			}},
		},
		"full, and no memory for more": {&Host{Figures: figures(65536, 65536, 65536, 0, 1024), MemTotal: gib / 8}, []Finding{{
			ID: "table-full", Severity: Error, Summary: "the connection table is 100 % full: 65536 of 65536",
			Evidence: []Evidence{seen(countFile, 0, "65536"), seen(maxFile, 0, "65536")},
			Note:     "Twice as many connections would take over a quarter of the memory (128 MiB): shorten the timeouts, or give the host more memory.",
		}}},
		"full in a container": {&Host{Figures: figures(65536, 65536, 65536, 0, 1024), Place: Place{ChildNetns: true}}, []Finding{{
			ID: "table-full", Severity: Error, Summary: "the connection table is 100 % full: 65536 of 65536",
			Evidence: []Evidence{seen(countFile, 0, "65536"), seen(maxFile, 0, "65536")},
			Note:     "max belongs to the host's first network namespace: raise it there, on the host. It counts for each namespace by itself.",
		}}},
		"the log of a full table": {
			&Host{Figures: figures(100, 65536, 65536, 0, 1024), MemTotal: 4 * gib, Place: service(), Log: logOf(
				"nf_conntrack: nf_conntrack: table full, dropping packet", "nf_conntrack: table full, dropping packet.", "eth0: link up",
				"nf_conntrack: nf_conntrack: table full in netns 4026532, dropping packet",
			)}, []Finding{{
				ID: "table-drops", Severity: Error, Summary: "the connection table was full: connections were thrown out or refused",
				Evidence: []Evidence{
					seen("/dev/kmsg", 0, "nf_conntrack: table full, dropping packet (2 times, 2026-03-01 10:00:00 to 2026-03-01 10:01:00)"),
					seen("/dev/kmsg", 0, "nf_conntrack: table full in netns 4026532, dropping packet (at 2026-03-01 10:03:00)"),
				}, Fix: raise, Note: raiseNote,
			}},
		},
		"drops before the configuration was changed": {
			&Host{
				Figures: figures(100, 131072, 131072, 0, 1024), MemTotal: 4 * gib, Log: logOf("nf_conntrack: table full, dropping packet"),
				Counters: map[string]uint64{"early_drop": 3, "drop": 5}, Place: Place{Configured: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
				Config: asks(t, "max", "131072"), Settings: map[string]string{"max": "131072"},
			}, []Finding{{
				ID: "table-drops", Severity: Info, Summary: "the connection table was full: connections were thrown out or refused",
				Evidence: []Evidence{
					seen("/dev/kmsg", 0, "nf_conntrack: table full, dropping packet (at 2026-03-01 10:00:00)"),
					seen(countersFile, 0, "early_drop = 3: connections thrown out to make room"),
					seen(countersFile, 0, "drop = 5: packets dropped because no connection could be made, or by a helper"),
				},
				Note: "The configuration was changed since, and what it asks for is in force. The counters begin with the load of the module: look whether they still grow.",
			}},
		},
		"counters alone": {
			&Host{Figures: figures(100, 65536, 65536, 0, 1024), MemTotal: 4 * gib, Place: service(), Counters: map[string]uint64{"early_drop": 1}}, []Finding{{
				ID: "table-drops", Severity: Warning, Summary: "the connection table was full: connections were thrown out or refused",
				Evidence: []Evidence{seen(countersFile, 0, "early_drop = 1: connections thrown out to make room")}, Fix: raise, Note: raiseNote,
			}},
		},
		"no limit": {&Host{Figures: figures(100, 0, 65536, 0, 1024), Place: service()}, []Finding{{
			ID: "max-unlimited", Severity: Warning, Summary: "max is 0: the connection table has no limit, and can take all memory",
			Evidence: []Evidence{seen(maxFile, 0, "0")},
			Fix:      []string{makeDropIns + "'settings:' '  max: auto' > /etc/ctkeeper/conf.d/60-max.yaml", reload},
		}}},
		"eight connections a bucket": {&Host{Figures: figures(0, 81920, 10240, 0, 1024)}, []Finding{{
			ID: "load-factor", Severity: Info,
			Summary:  "8 connections for each hash bucket: a full table has chains of 16 entries, which every packet walks",
			Evidence: []Evidence{seen(maxFile, 0, "81920"), seen(bucketsFile, 0, "10240")},
			Note:     "Each connection is in the table twice, once for each direction. The kernel itself takes 1 connection a bucket since 5.15, and 8 where hashsize= is given as the module is loaded.",
		}}},
		"sixteen connections a bucket": {&Host{Figures: figures(0, 262144, 16384, 0, 1024), MemTotal: 4 * gib, Place: service()}, []Finding{{
			ID: "load-factor", Severity: Warning,
			Summary:  "16 connections for each hash bucket: a full table has chains of 32 entries, which every packet walks",
			Evidence: []Evidence{seen(maxFile, 0, "262144"), seen(bucketsFile, 0, "16384")},
			Fix:      []string{makeDropIns + "'settings:' '  hashsize: 262144' > /etc/ctkeeper/conf.d/60-hashsize.yaml", reload},
			Note:     "Each connection is in the table twice, once for each direction. The kernel itself takes 1 connection a bucket since 5.15, and 8 where hashsize= is given as the module is loaded.",
		}}},
		"chains too long": {
			&Host{Figures: figures(0, 65536, 16384, 0, 1024), MemTotal: 4 * gib, Place: service(), Counters: map[string]uint64{"chainlength": 7}}, []Finding{{
				ID: "chains-too-long", Severity: Warning, Summary: "connections were refused because the chain of their hash bucket was too long",
				Evidence: []Evidence{seen(countersFile, 0, "chainlength = 7"), seen(maxFile, 0, "65536"), seen(bucketsFile, 0, "16384")},
				Fix:      []string{makeDropIns + "'settings:' '  hashsize: 65536' > /etc/ctkeeper/conf.d/60-hashsize.yaml", reload},
			}},
		},
		"a third of the memory": {&Host{Figures: figures(0, 1048576, 1048576, 0, 1024), MemTotal: gib, Place: service()}, []Finding{{
			ID: "max-over-memory", Severity: Warning, Summary: "a full connection table would take 384 MiB of 1 GiB memory",
			Evidence: []Evidence{seen(maxFile, 0, "1048576"), seen(meminfoFile, 0, "MemTotal: 1048576 kB")},
			Fix:      []string{makeDropIns + "'settings:' '  max: 698368' > /etc/ctkeeper/conf.d/60-max.yaml", reload},
		}}},
		"more than the memory, and in use": {&Host{Figures: figures(700000, 4194304, 1048576, 0, 1024), MemTotal: gib}, []Finding{{
			ID: "max-over-memory", Severity: Error, Summary: "a full connection table would take 1.5 GiB of 1 GiB memory",
			Evidence: []Evidence{seen(maxFile, 0, "4194304"), seen(meminfoFile, 0, "MemTotal: 1048576 kB")},
			Note:     "A quarter of the memory holds 698368 connections, and there are 700000 now: shorten the timeouts, or give the host more memory.",
		}}},
		"buckets over memory": {&Host{Figures: figures(0, 65536, 67108864, 0, 1024), MemTotal: gib, Place: service()}, []Finding{{
			ID: "hashsize-over-memory", Severity: Warning, Summary: "the hash table takes 512 MiB of 1 GiB memory, however few connections there are",
			Evidence: []Evidence{seen(bucketsFile, 0, "67108864"), seen(meminfoFile, 0, "MemTotal: 1048576 kB")},
			Fix:      []string{makeDropIns + "'settings:' '  hashsize: 65536' > /etc/ctkeeper/conf.d/60-hashsize.yaml", reload},
		}}},
		"five days, and the table is empty": {
			&Host{Figures: figures(0, 65536, 65536, 0, 1024), Settings: map[string]string{"tcp_timeout_established": "432000"}}, []Finding{{
				ID: "established-timeout-long", Severity: Info, Summary: "TCP connections that fell silent stay in the table for 5 days",
				Evidence: []Evidence{seen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 0, "432000")},
			}},
		},
		"five days, and the table fills": {
			&Host{Figures: figures(40000, 65536, 65536, 0, 1024), Settings: map[string]string{"tcp_timeout_established": "432000", "udp_timeout": "600"}, Place: service()}, []Finding{
				{
					ID: "established-timeout-long", Severity: Warning, Summary: "TCP connections that fell silent stay in the table for 5 days",
					Evidence: []Evidence{seen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 0, "432000"), seen(countFile, 0, "40000"), seen(maxFile, 0, "65536")},
					Fix:      []string{makeDropIns + "'settings:' '  tcp_timeout_established: 24h' > /etc/ctkeeper/conf.d/60-timeouts.yaml", reload},
					Note:     "The table is more than half full. A shorter timeout counts for a connection from its next packet on; it must be longer than the keepalive of what runs here (two hours by default).",
				},
				{
					ID: "timeouts-long", Severity: Warning, Summary: "timeouts are far longer than the kernel's own, and keep dead connections in the table",
					Evidence: []Evidence{seen("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", 0, "600 (the kernel's own is 30)")},
					Fix:      []string{makeDropIns + "'settings:' '  udp_timeout: 30' > /etc/ctkeeper/conf.d/60-timeouts-short.yaml", reload},
				},
			},
		},
		"a day is not long": {&Host{Figures: figures(40000, 65536, 65536, 0, 1024), Settings: map[string]string{"tcp_timeout_established": "86400"}}, nil},
		"counters that are no losses": {&Host{Counters: map[string]uint64{"insert_failed": 2, "search_restart": 9, "found": 4}}, []Finding{{
			ID: "table-counters", Severity: Info, Summary: "counters of the connection table that look like losses, and mostly are none",
			Evidence: []Evidence{
				seen(countersFile, 0, "insert_failed = 2: an entry was there already, as when two first packets of one flow race"),
				seen(countersFile, 0, "search_restart = 9: look-ups that began anew because the hash table was being resized or the chain changed under them"),
			},
		}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wants(t, ask(test.host, sizingChecks()), test.want)
		})
	}
}

// ask asks some checks.
func ask(h *Host, checks []check) []Finding {
	var found []Finding
	for _, c := range checks {
		found = append(found, c(h)...)
	}
	return found
}

func TestEstablishedPeriods(t *testing.T) {
	for seconds, want := range map[int64]string{
		86400 * 5: "5 days", 86400*5 + 1: "more than 5 days", 86401: "more than 24 hours", 172799: "more than 47 hours",
	} {
		if got := period(seconds); got != want {
			t.Errorf("period(%d) = %q, want %q", seconds, got, want)
		}
	}
}

// TestDropInNames: the file comes after the one that gives the value now.
func TestDropInNames(t *testing.T) {
	tests := map[string]struct{ origin, want string }{
		"the main file":          {"/etc/ctkeeper/ctkeeper.yaml:3", "60-table.yaml"},
		"an earlier drop-in":     {"/etc/ctkeeper/conf.d/50-imported.yaml:3", "60-table.yaml"},
		"itself":                 {"/etc/ctkeeper/conf.d/60-table.yaml:2", "60-table.yaml"},
		"a later drop-in":        {"/etc/ctkeeper/conf.d/99-site.yaml:2", "99-site_table.yaml"},
		"a later one of /usr":    {"/usr/lib/ctkeeper/conf.d/70-site.yaml:2", "70-site_table.yaml"},
		"nobody":                 {"(default)", "60-table.yaml"},
		"its like for hash size": {"/etc/ctkeeper/conf.d/60-table_hashsize.yaml:2", "60-table_hashsize_table.yaml"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := asks(t, "max", "1000")
			c.Wants[0].Origin = test.origin
			got := (&Host{Config: c}).dropInName("table", []entry{{"max", "2000"}})
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			file, _, _ := strings.Cut(test.origin, ":")
			if last := file[strings.LastIndex(file, "/")+1:]; strings.Contains(file, "conf.d") && got < last {
				t.Errorf("%s comes before %s", got, last)
			}
		})
	}
}

// TestDefaultsStayFirst: what the embedded default asks for comes before the drop-ins
// of all findings, whatever their names.
func TestDefaultsStayFirst(t *testing.T) {
	c := asks(t, "hashsize", "32768", "max", "32768")
	c.Files = nil
	for i := range c.Wants {
		c.Wants[i].Auto, c.Wants[i].Policy = true, sysfs.AtLeast
	}
	h := &Host{Config: c}
	want := []string{
		"mkdir -p /etc/ctkeeper/conf.d && printf '%s\\n' 'settings:' '  hashsize: {at_least: auto}' > /etc/ctkeeper/conf.d/00-default.yaml" +
			" && printf '%s\\n' 'settings:' '  max: 70000' > /etc/ctkeeper/conf.d/60-max.yaml", "ctkeeper apply",
	}
	if diff := cmp.Diff(want, h.configure("max", []entry{{"max", "70000"}}, nil)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// TestConfigureWorks runs the commands, in a tree: the configuration that they make is
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
			put(t, root, test.before)
			before, err := config.Source{Root: root}.Load()
			if err != nil {
				t.Fatal(err)
			}
			h := &Host{Config: before, Place: service()}
			fix := h.configure("expectations", []entry{{"expect_max", "8192"}}, []entry{{"expect_hashsize", "2048"}})
			if diff := cmp.Diff([]string{"ctkeeper persist", reload}, fix[1:]); diff != "" {
				t.Errorf("further commands (-want +got):\n%s", diff)
			}
			command := strings.ReplaceAll(fix[0], "/etc/ctkeeper", root+"/etc/ctkeeper")
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			after, err := config.Source{Root: root}.Load()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range after.Wants {
				got = append(got, w.Setting.Name+" "+w.String())
			}
			if name == "without a configuration" { // whatever 4 GiB come to
				test.want = []string{"hashsize " + before.Wants[0].String(), "max " + before.Wants[1].String(), "expect_max 8192"}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wants (-want +got):\n%s", diff)
			}
			parameters := []config.Parameter{{Name: "expect_hashsize", Value: "2048"}}
			for i := range after.Module.Parameters {
				after.Module.Parameters[i].Origin = ""
			}
			if diff := cmp.Diff(parameters, after.Module.Parameters); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookAtSettings(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Remove(t, root, "helper")
	values := lookAtSettings(tree.At(root))
	if diff := cmp.Diff("432000", values["tcp_timeout_established"]); diff != "" {
		t.Errorf("tcp_timeout_established (-want +got):\n%s", diff)
	}
	if _, there := values["helper"]; there {
		t.Error("a setting that this kernel does not have")
	}
	kerneltree.Unload(t, root)
	if values := lookAtSettings(tree.At(root)); len(values) > 0 {
		t.Errorf("settings of a module that is not there: %v", values)
	}
}
