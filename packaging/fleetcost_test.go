package packaging

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var measure = flag.Bool("measure", false, "measure what many hosts cost, in 6 minutes, and write it to docs/fleet.md")

const (
	costFile  = "testdata/fleetcost.json"
	costTable = "<!-- Made by `go test ./packaging -run TestFleetCost -measure -timeout 30m` -->\n"
	// costHosts are scraped costScrapes times, every two seconds: as many samples for each series as Prometheus keeps
	// in memory of one scrape a minute.
	costHosts   = 200
	costScrapes = 150
	// addedSeries are those that Prometheus adds to each target: up and four scrape_*.
	addedSeries = 5
)

// cost is what one host costs.
type cost struct {
	Series        float64 `json:"series"`
	Bytes         float64 `json:"scrape_bytes"`
	GzipBytes     float64 `json:"scrape_gzip_bytes"`
	Milliseconds  float64 `json:"scrape_milliseconds"`       // until an exporter has answered
	ExporterCPU   float64 `json:"scrape_exporter_cpu_ms"`    // of the exporter, for a scrape
	Memory        float64 `json:"prometheus_memory_bytes"`   // of Prometheus, for a series
	PrometheusCPU float64 `json:"prometheus_cpu_ms"`         // for a scrape of a host, with its part of the rules
	SampleBytes   float64 `json:"prometheus_bytes_a_sample"` // on disk
}

// table returns the table of docs/fleet.md.
func (c cost) table() string {
	const hosts, scrapes = 10_000, 24 * 60 // a day
	const mb, gb = 1e6, 1e9
	return fmt.Sprintf(`| | one host, measured | 10,000 hosts, one scrape a minute |
|---|---|---|
| series | %.0f | %.2f million |
| a scrape | %.1f kB, %.1f kB compressed | %.0f kB/s on the network |
| time of a scrape | %.1f ms, %.1f ms of a processor | each host: %.3f %% of a processor |
| memory of Prometheus | %.1f kB for a series, %.2f MB for a host | %.1f GB |
| processor time of Prometheus, with all rules | %.2f ms for a scrape | %.2f processors |
| disk of Prometheus | %.1f bytes for a sample | %.1f GB a day |
`, c.Series, c.Series*hosts/mb, c.Bytes/1000, c.GzipBytes/1000, c.GzipBytes*hosts/60/1000, c.Milliseconds,
		c.ExporterCPU, c.ExporterCPU/60_000*100, c.Memory/1000, c.Memory*c.Series/mb, c.Memory*c.Series*hosts/gb,
		c.PrometheusCPU, c.PrometheusCPU*hosts/60_000, c.SampleBytes, c.SampleBytes*c.Series*hosts*scrapes/gb)
}

// TestFleetCost checks that the table of docs/fleet.md follows from the figures that were measured, and that series and
// bytes of a scrape still are what they were. With -measure it measures them all.
func TestFleetCost(t *testing.T) {
	f, address, exporter := newRealFleet(t)
	now := measureScrape(t, exporter)
	if *measure {
		now.measureTime(t, exporter)
		f.busy, f.limit = true, costHosts
		now.measurePrometheus(t, f, address)
		text, err := json.MarshalIndent(now, "", "  ")
		t.Logf("%s", text)
		if err == nil {
			err = os.WriteFile(costFile, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var kept cost
	figures, err := os.ReadFile(costFile)
	if err == nil {
		err = json.Unmarshal(figures, &kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, figure := range [][2]float64{
		{kept.Series, now.Series}, {kept.Bytes, now.Bytes}, {kept.GzipBytes, now.GzipBytes},
	} {
		if difference := figure[1] / figure[0]; difference < 0.95 || difference > 1.05 {
			t.Errorf("a scrape has %.0f (series, bytes or bytes compressed), %s has %.0f: use -measure",
				figure[1], costFile, figure[0])
		}
	}
	text, err := os.ReadFile(fleetDocument)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), costTable)
	old, after, ends := strings.Cut(rest, "\n\n")
	switch {
	case !found || !ends:
		t.Fatalf("%s has no %s", fleetDocument, costTable)
	case *measure:
		if err := os.WriteFile(fleetDocument, []byte(before+costTable+kept.table()+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case old+"\n" != kept.table():
		t.Errorf("%s has\n%s\nwhere %s says\n%s", fleetDocument, old, costFile, kept.table())
	}
}

// scrapeOnce returns what an exporter answers Prometheus.
func scrapeOnce(t *testing.T, exporter string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", exporter+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	request.Header.Set("Accept-Encoding", "gzip") // set here, it is not undone
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// measureScrape returns the series and bytes of a scrape.
func measureScrape(t *testing.T, exporter string) *cost {
	t.Helper()
	compressed := scrapeOnce(t, exporter)
	in, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	c := &cost{Series: addedSeries, Bytes: float64(len(text)), GzipBytes: float64(len(compressed))}
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			c.Series++
		}
	}
	return c
}

// measureTime measures the time of a scrape: the median until the answer is there, and the mean of the exporter's
// processor time.
func (c *cost) measureTime(t *testing.T, exporter string) {
	const scrapes = 500
	before := processorSeconds(t, exporter)
	var took []time.Duration
	for range scrapes {
		begin := time.Now()
		scrapeOnce(t, exporter)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	c.Milliseconds = took[scrapes/2].Seconds() * 1000
	c.ExporterCPU = (processorSeconds(t, exporter) - before) * 1000 / scrapes
}

// processorSeconds returns the processor time that an exporter, or Prometheus, has used.
func processorSeconds(t *testing.T, address string) float64 {
	return ownMetric(t, address, "process_cpu_seconds_total")
}

// ownMetric returns the value of a series that an address serves.
func ownMetric(t *testing.T, address, name string) float64 {
	t.Helper()
	response, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s serves no %s", address, name)
	return 0
}

// measurePrometheus measures what a Prometheus with all rules needs for a host that it scrapes.
func (c *cost) measurePrometheus(t *testing.T, f *fleet, address string) {
	const speed = 30
	nobody := freeAddress(t) // in place of an Alertmanager
	idle := scrapeFleet(t, address+"/nowhere", speed, nobody)
	wait(t, "a Prometheus", func() bool { return len(values(t, idle, "vector(1)")) == 1 })
	memory := ownMetric(t, idle, "process_resident_memory_bytes")

	api := scrapeFleet(t, address, speed, nobody)
	samples := func() float64 { return ownMetric(t, api, `prometheus_tsdb_head_samples_appended_total{type="float"}`) }
	wait(t, "all hosts", func() bool {
		return slices.Equal(values(t, api, `count(up{job="ctkeeper"} == 1)`), []string{fmt.Sprint(costHosts)})
	})
	before, cpu := samples(), processorSeconds(t, api)
	for deadline := time.Now().Add(20 * time.Minute); samples()-before < costScrapes*costHosts*c.Series; {
		if time.Now().After(deadline) {
			t.Fatal("the hosts are not scraped")
		}
		time.Sleep(time.Second)
	}
	series := ownMetric(t, api, "prometheus_tsdb_head_series")
	c.Memory = (ownMetric(t, api, "process_resident_memory_bytes") - memory) / series
	c.PrometheusCPU = (processorSeconds(t, api) - cpu) * 1000 / ((samples() - before) / c.Series)
	appended := samples()
	c.SampleBytes = snapshotBytes(t, api) / appended
	t.Logf("%.0f series, %.0f samples", series, appended)
}

// snapshotBytes writes what a Prometheus has in memory as a block, and returns its size.
func snapshotBytes(t *testing.T, api string) (size float64) {
	t.Helper()
	response, err := http.Post(api+"/api/v1/admin/tsdb/snapshot", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct{ Data struct{ Name string } }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Data.Name == "" {
		t.Fatalf("no snapshot: %s %v", response.Status, err)
	}
	var flags struct {
		Path string `json:"storage.tsdb.path"`
	}
	get(t, api+"/api/v1/status/flags", &flags)
	err = filepath.WalkDir(filepath.Join(flags.Path, "snapshots", answer.Data.Name),
		func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				size += float64(info.Size())
			}
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	return size
}
