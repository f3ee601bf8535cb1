package daemon

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/table"
)

// BenchmarkScrape is a scrape of /metrics beside a real table of so many
// connections, all of which it makes: it runs in a network namespace of its own
// alone (unshare -n).
func BenchmarkScrape(b *testing.B) {
	if _, err := os.Stat("/proc/sys/net/nf_conntrack_max"); err == nil {
		b.Skip("this is the host's own table: run it by unshare -n")
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		b.Skipf("ctnetlink cannot be asked here: %v", err)
	}
	defer func() { _ = conn.Close() }()
	sampler := table.NewSampler("")
	m := metrics.New("bench", func() metrics.Now { return metrics.Now{Table: sampler.Take(time.Now())} })
	made := 0
	for _, entries := range []int{0, 1000, 10000, 100000} {
		for ; made < entries; made++ {
			client := netip.AddrFrom4([4]byte{10, byte(made >> 16), byte(made >> 8), byte(made)})
			flow := conntrack.NewFlow(unix.IPPROTO_TCP, 0, client, netip.MustParseAddr("192.0.2.1"), 40000, 80, 3600, 0)
			if err := conn.Create(flow); err != nil {
				b.Skipf("no connection can be made here: %v", err)
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
