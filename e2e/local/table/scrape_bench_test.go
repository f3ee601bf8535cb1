package table_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// sampled is a daemon that samples the table for each status.
type sampled struct{ sampler *table.Sampler }

func (s sampled) Status(context.Context) (status.Document, error) {
	now := s.sampler.Take(time.Now())
	return status.Document{Table: status.Table{
		Figures: now.Figures, Counters: now.Counters, ByHelper: now.ByHelper,
	}}, nil
}

func (sampled) Counts(context.Context) (status.Counts, error) { return status.Counts{}, nil }

// BenchmarkScrape scrapes /metrics beside a real table with a number of connections, all of which it creates. It
// runs only in a network namespace of its own (unshare -n).
func BenchmarkScrape(b *testing.B) {
	if _, err := os.Stat("/proc/sys/net/nf_conntrack_max"); err == nil {
		b.Skip("this is the host's own table: run it under unshare -n")
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		b.Skipf("cannot open a ctnetlink socket: %v", err)
	}
	defer func() { _ = conn.Close() }()
	sampler := table.NewSampler(tree.Tree{})
	m := metrics.New(sampled{sampler}, func(error) {})
	made := 0
	for _, entries := range []int{0, 1000, 10000, 100000} {
		for ; made < entries; made++ {
			client := netip.AddrFrom4([4]byte{10, byte(made >> 16), byte(made >> 8), byte(made)})
			flow := conntrack.NewFlow(unix.IPPROTO_TCP, 0, client, netip.MustParseAddr("192.0.2.1"), 40000, 80, 3600, 0)
			if err := conn.Create(flow); err != nil {
				b.Skipf("cannot create a connection: %v", err)
			}
		}
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			if got := sampler.Take(time.Now()).Entries; got == nil || *got != int64(entries) {
				b.Fatalf("the table has %v entries, want %d", got, entries)
			}
			for b.Loop() {
				answer := httptest.NewRecorder()
				m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				if answer.Code != http.StatusOK {
					b.Fatal(answer.Code)
				}
			}
		})
	}
}
