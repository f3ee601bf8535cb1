package sizing

import (
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

var raise = doctortest.Configured("60-table.yaml", "settings:", "  max: 131072", "  hashsize: 131072")
var raiseNote = "A full table of 131072 connections takes 49 MiB."

var sizingTests = map[string]struct {
	host *picture.Host
	want []finding.Finding
}{
	"nothing is known": {&picture.Host{}, nil},
	"room enough": {&picture.Host{Figures: doctortest.Figures(100, 65536, 65536, 0, 1024),
		MemTotal: 4 * doctortest.GiB}, nil},
	"no module, no file": {&picture.Host{Figures: doctortest.Figures(-9, -9, -9, -9, -9),
		MemTotal: 4 * doctortest.GiB}, nil},
	"full": {&picture.Host{Figures: doctortest.Figures(65000, 65536, 65536, 0, 1024),
		MemTotal: 4 * doctortest.GiB, Env: doctortest.Service()}, []finding.Finding{{
		ID: "table-full", Severity: finding.Error, Summary: "the connection table is 99 % full: 65000 of 65536",
		Evidence: []finding.Evidence{finding.Seen(picture.CountFile, 0, "65000"), finding.Seen(picture.MaxFile,
			0, "65536")}, Fix: raise, Note: raiseNote,
	}}},
	"filling": {&picture.Host{Figures: doctortest.Figures(52429, 65536, 65536, 0, 1024),
		MemTotal: 4 * doctortest.GiB, Env: doctortest.Service()}, []finding.Finding{{
		ID: "table-filling", Severity: finding.Warning, Summary: "the connection table is 80 % full: 52429 of " +
			"65536",
		Evidence: []finding.Evidence{finding.Seen(picture.CountFile, 0, "52429"), finding.Seen(picture.MaxFile,
			0, "65536")}, Fix: raise, Note: raiseNote,
	}}},
	"full, and the configuration asks for more": {
		&picture.Host{
			Figures: doctortest.Figures(65536, 65536, 65536, 0,
				1024), MemTotal: 4 * doctortest.GiB, Env: picture.Environment{},
			Config: doctortest.Config("max", "262144"), Settings: map[string]string{"max": "65536"},
		}, []finding.Finding{{
			ID: "table-full", Severity: finding.Error, Summary: "the connection table is 100 % full: 65536 of " +
				"65536",
			Evidence: []finding.Evidence{finding.Seen(picture.CountFile, 0, "65536"),
				finding.Seen(picture.MaxFile, 0, "65536")},
			Fix: doctortest.Commands("ctkeeper apply"), Note: "The configuration asks for 262144 " +
				"(/etc/ctkeeper/ctkeeper.yaml:2), which is not applied.",
		}},
	},
	"full, and no memory for more": {&picture.Host{Figures: doctortest.Figures(65536, 65536, 65536, 0, 1024),
		MemTotal: doctortest.GiB / 8}, []finding.Finding{{
		ID: "table-full", Severity: finding.Error, Summary: "the connection table is 100 % full: 65536 of 65536",
		Evidence: []finding.Evidence{finding.Seen(picture.CountFile, 0, "65536"), finding.Seen(picture.MaxFile,
			0, "65536")},
		Note: "Twice as many connections would take more than a quarter of the memory (128 MiB): shorten the " +
			"timeouts, or give the host more memory.",
	}}},
	"full in a container": {&picture.Host{Figures: doctortest.Figures(65536, 65536, 65536, 0, 1024),
		Env: picture.Environment{ChildNetns: true}}, []finding.Finding{{
		ID: "table-full", Severity: finding.Error, Summary: "the connection table is 100 % full: 65536 of 65536",
		Evidence: []finding.Evidence{finding.Seen(picture.CountFile, 0, "65536"), finding.Seen(picture.MaxFile,
			0, "65536")},
		Note: "max belongs to the host's initial network namespace: raise it on the host. It limits each " +
			"namespace separately.",
	}}},
	"the log of a full table": {
		&picture.Host{Figures: doctortest.Figures(100, 65536, 65536, 0, 1024), MemTotal: 4 * doctortest.GiB,
			Env: doctortest.Service(), Log: doctortest.Log(
				"nf_conntrack: nf_conntrack: table full, dropping packet", "nf_conntrack: table full, dropping "+
					"packet.", "eth0: link up",
				"nf_conntrack: nf_conntrack: table full in netns 4026532, dropping packet",
			)}, []finding.Finding{{
			ID: "table-drops", Severity: finding.Error, Summary: "the connection table was full: connections " +
				"were evicted or refused",
			Evidence: []finding.Evidence{
				finding.Seen("/dev/kmsg", 0,
					"nf_conntrack: table full, dropping packet (2 times, 2026-03-01 10:00:00 to 2026-03-01 "+
						"10:01:00)"),
				finding.Seen("/dev/kmsg", 0,
					"nf_conntrack: table full in netns 4026532, dropping packet (at 2026-03-01 10:03:00)"),
			}, Fix: raise, Note: raiseNote,
		}},
	},
	"drops before the configuration was changed": {
		&picture.Host{
			Figures: doctortest.Figures(100, 131072, 131072, 0,
				1024), MemTotal: 4 * doctortest.GiB, Log: doctortest.Log("nf_conntrack: table full, dropping " +
				"packet"),
			Counters: map[string]uint64{"early_drop": 3,
				"drop": 5}, Env: picture.Environment{ConfigWritten: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
			Config: doctortest.Config("max", "131072"), Settings: map[string]string{"max": "131072"},
		}, []finding.Finding{{
			ID: "table-drops", Severity: finding.Info, Summary: "the connection table was full: connections were " +
				"evicted or refused",
			Evidence: []finding.Evidence{
				finding.Seen("/dev/kmsg", 0, "nf_conntrack: table full, dropping packet (at 2026-03-01 10:00:00)"),
				finding.Seen(picture.CountersFile, 0, "early_drop = 3: connections evicted to make room"),
				finding.Seen(picture.CountersFile, 0,
					"drop = 5: packets dropped because no connection could be created, or by a helper"),
			},
			Note: "The configuration was changed since, and its value is applied. The counters start with the " +
				"load of the module: check whether they still grow.",
		}},
	},
	"counters alone": {
		&picture.Host{Figures: doctortest.Figures(100, 65536, 65536, 0, 1024), MemTotal: 4 * doctortest.GiB,
			Env: doctortest.Service(), Counters: map[string]uint64{"early_drop": 1}}, []finding.Finding{{
			ID: "table-drops", Severity: finding.Warning, Summary: "the connection table was full: connections " +
				"were evicted or refused",
			Evidence: []finding.Evidence{finding.Seen(picture.CountersFile, 0,
				"early_drop = 1: connections evicted to make room")}, Fix: raise, Note: raiseNote,
		}},
	},
	"no limit": {&picture.Host{Figures: doctortest.Figures(100, 0, 65536, 0, 1024), Env: doctortest.Service()},
		[]finding.Finding{{
			ID: "max-unlimited", Severity: finding.Warning, Summary: "max is 0: the connection table has no " +
				"limit, " +
				"and can take all memory",
			Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, "0")},
			Fix:      doctortest.Configured("60-max.yaml", "settings:", "  max: auto"),
		}}},
	"eight connections a bucket": {&picture.Host{Figures: doctortest.Figures(0, 81920, 10240, 0, 1024)},
		[]finding.Finding{{
			ID: "load-factor", Severity: finding.Info,
			Summary: "8 connections for each hash bucket: a full table has chains of 16 entries, which every " +
				"packet " +
				"walks",
			Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, "81920"),
				finding.Seen(picture.BucketsFile, 0, "10240")},
			Note: "Each connection is in the table twice, once for each direction. The kernel's default is 1 " +
				"connection a bucket since 5.15, and 8 where hashsize= is a load-time parameter of the module.",
		}}},
	"sixteen connections a bucket": {&picture.Host{Figures: doctortest.Figures(0, 262144, 16384, 0, 1024),
		MemTotal: 4 * doctortest.GiB, Env: doctortest.Service()}, []finding.Finding{{
		ID: "load-factor", Severity: finding.Warning,
		Summary: "16 connections for each hash bucket: a full table has chains of 32 entries, which every " +
			"packet walks",
		Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, "262144"),
			finding.Seen(picture.BucketsFile, 0, "16384")},
		Fix: doctortest.Configured("60-hashsize.yaml", "settings:", "  hashsize: 262144"),
		Note: "Each connection is in the table twice, once for each direction. The kernel's default is 1 " +
			"connection a bucket since 5.15, and 8 where hashsize= is a load-time parameter of the module.",
	}}},
	"chains too long": {
		&picture.Host{Figures: doctortest.Figures(0, 65536, 16384, 0, 1024), MemTotal: 4 * doctortest.GiB,
			Env: doctortest.Service(), Counters: map[string]uint64{"chainlength": 7}}, []finding.Finding{{
			ID: "chains-too-long", Severity: finding.Warning, Summary: "connections were refused because the " +
				"chain of their hash bucket was too long",
			Evidence: []finding.Evidence{finding.Seen(picture.CountersFile, 0, "chainlength = 7"),
				finding.Seen(picture.MaxFile, 0, "65536"), finding.Seen(picture.BucketsFile, 0, "16384")},
			Fix: doctortest.Configured("60-hashsize.yaml", "settings:", "  hashsize: 65536"),
		}},
	},
	"a third of the memory": {&picture.Host{Figures: doctortest.Figures(0, 1048576, 1048576, 0, 1024),
		MemTotal: doctortest.GiB, Env: doctortest.Service()}, []finding.Finding{{
		ID: "max-over-memory", Severity: finding.Info, Summary: "a full connection table would take 384 MiB " +
			"of 1 GiB memory",
		Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, "1048576"),
			finding.Seen(meminfo.File, 0, "MemTotal: 1048576 kB")},
		Note: "A quarter of the memory holds 698368 connections.",
	}}},
	"more than the memory, and in use": {&picture.Host{Figures: doctortest.Figures(700000, 4194304, 1048576, 0,
		1024), MemTotal: doctortest.GiB}, []finding.Finding{{
		ID: "max-over-memory", Severity: finding.Warning, Summary: "a full connection table would take 1.5 GiB of " +
			"1 GiB memory",
		Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, "4194304"),
			finding.Seen(meminfo.File, 0, "MemTotal: 1048576 kB")},
		Note: "A quarter of the memory holds 698368 connections, and there are 700000 now: shorten the " +
			"timeouts, or give the host more memory.",
	}}},
	"buckets over memory": {&picture.Host{Figures: doctortest.Figures(0, 65536, 67108864, 0, 1024),
		MemTotal: doctortest.GiB, Env: doctortest.Service()}, []finding.Finding{{
		ID: "hashsize-over-memory", Severity: finding.Warning, Summary: "the hash table takes 512 MiB of 1 GiB " +
			"memory, regardless of the number of connections",
		Evidence: []finding.Evidence{finding.Seen(picture.BucketsFile, 0, "67108864"),
			finding.Seen(meminfo.File, 0, "MemTotal: 1048576 kB")},
		Fix: doctortest.Configured("60-hashsize.yaml", "settings:", "  hashsize: 65536"),
	}}},
	"five days, and the table is empty": {
		&picture.Host{Figures: doctortest.Figures(0, 65536, 65536, 0, 1024),
			Settings: map[string]string{"tcp_timeout_established": "432000"}}, []finding.Finding{{
			ID: "established-timeout-long", Severity: finding.Info, Summary: "idle TCP connections stay in the " +
				"table for 5 days",
			Evidence: []finding.Evidence{
				finding.Seen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 0, "432000"),
			},
		}},
	},
	"five days, and the table fills": {
		&picture.Host{Figures: doctortest.Figures(40000, 65536, 65536, 0, 1024),
			Settings: map[string]string{"tcp_timeout_established": "432000",
				"udp_timeout": "600"}, Env: doctortest.Service()}, []finding.Finding{
			{
				ID: "established-timeout-long", Severity: finding.Warning, Summary: "idle TCP connections stay " +
					"in the table for 5 days",
				Evidence: []finding.Evidence{
					finding.Seen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 0, "432000"),
					finding.Seen(picture.CountFile, 0, "40000"),
					finding.Seen(picture.MaxFile, 0, "65536"),
				},
				Fix: doctortest.Configured("60-timeouts.yaml", "settings:", "  tcp_timeout_established: 24h"),
				Note: "The table is more than half full. A shorter timeout applies to a connection from its " +
					"next packet on. It must be longer than the keepalive interval of the programs that run here " +
					"(two hours by default).",
			},
			{
				ID: "timeouts-long", Severity: finding.Warning, Summary: "timeouts are far above the kernel's " +
					"defaults, and keep dead connections in the table",
				Evidence: []finding.Evidence{finding.Seen("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", 0,
					"600 (the kernel's default is 30)")},
				Fix: doctortest.Configured("60-timeouts-short.yaml", "settings:", "  udp_timeout: 30"),
			},
		},
	},
	"a day is not long": {&picture.Host{Figures: doctortest.Figures(40000, 65536, 65536, 0, 1024),
		Settings: map[string]string{"tcp_timeout_established": "86400"}}, nil},
	"counters that are not losses": {&picture.Host{Counters: map[string]uint64{"insert_failed": 2,
		"search_restart": 9, "found": 4}}, []finding.Finding{{
		ID: "table-counters", Severity: finding.Info, Summary: "counters of the connection table that look like " +
			"losses, and mostly are not",
		Evidence: []finding.Evidence{
			finding.Seen(picture.CountersFile, 0,
				"insert_failed = 2: the entry existed already, for example when the first two packets of a flow "+
					"race"),
			finding.Seen(picture.CountersFile, 0,
				"search_restart = 9: lookups that restarted because the hash table was resized, or the chain "+
					"changed under them"),
		},
	}}},
}

func TestSizing(t *testing.T) {
	for name, test := range sizingTests {
		t.Run(name, func(t *testing.T) {
			doctortest.Check(t, Check(test.host), test.want)
		})
	}
}

func TestEstablishedPeriods(t *testing.T) {
	for seconds, want := range map[int64]string{
		86400 * 5: "5 days", 86400*5 + 1: "more than 5 days", 86401: "more than 24 hours", 172799: "more than 47 hours",
	} {
		if got := formatPeriod(seconds); got != want {
			t.Errorf("period(%d) = %q, want %q", seconds, got, want)
		}
	}
}

// TestMerge: findings with the same fix are one finding with all evidence.
func TestMerge(t *testing.T) {
	full := "nf_conntrack: table full, dropping packet"
	raise := doctortest.Configured("60-table.yaml", "settings:", "  max: 131072", "  hashsize: 131072")
	raiseNote := "A full table of 131072 connections takes 49 MiB."
	tests := map[string]struct {
		host *picture.Host
		want []finding.Finding
	}{
		"filling, and the log says that it was full": {
			&picture.Host{Figures: doctortest.Figures(60000, 65536, 65536, 0, 1024), MemTotal: 4 * doctortest.GiB,
				Env: doctortest.Service(), Log: doctortest.Log(full)}, []finding.Finding{{
				ID: "table-drops", Severity: finding.Error, Summary: "the connection table was full: connections " +
					"were evicted or refused",
				Evidence: []finding.Evidence{
					finding.Seen("/dev/kmsg", 0, full+" (at 2026-03-01 10:00:00)"), finding.Seen(picture.CountFile,
						0, "60000"), finding.Seen(picture.MaxFile, 0, "65536"),
				}, Fix: raise, Note: raiseNote,
			}},
		},
		"full, and counted": {
			&picture.Host{
				Figures: doctortest.Figures(65000, 65536, 65536, 0,
					1024),
				MemTotal: 4 * doctortest.GiB,
				Env:      doctortest.Service(),
				Counters: map[string]uint64{"early_drop": 1},
			}, []finding.Finding{{
				ID: "table-full", Severity: finding.Error, Summary: "the connection table is 99 % full: 65000 of 65536",
				Evidence: []finding.Evidence{
					finding.Seen(picture.CountFile, 0, "65000"), finding.Seen(picture.MaxFile, 0,
						"65536"), finding.Seen(picture.CountersFile, 0, "early_drop = 1: connections evicted to make "+
						"room"),
				}, Fix: raise, Note: raiseNote,
			}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, Check(test.host), test.want) })
	}
}
