package packaging

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	fleetHosts = 2000
	rackHosts  = 40
	// firstDownRack and those after it have lost their network.
	firstDownRack = fleetHosts/rackHosts - 8
	// canaryRack has the configuration of canaryHash, which asks for what some of its hosts refuse.
	canaryRack = 30
	canaryHash = "b7d0c4e18a52"
	oldVersion = "0.0.9"
	mainKernel = "6.1.0-42-amd64"
)

// A simHost is a host of the simulated fleet. Its metrics are those that the exporter makes of its documents: the
// documents of a real daemon, with its fault in them.
type simHost struct {
	name, rack, job string
	kernel, version string
	hash            string // of its configuration; empty is that of the real daemon
	observe         bool
	fault           fault
	since           time.Time // begin of its fault
}

// A fault is what is wrong with a host.
type fault struct {
	name   string
	alerts []string // that fire, each with the setting that it names
	grows  bool     // every scrape of the host differs
	inject func(*answer)
}

// An answer is what a host's daemon answers, n seconds after the begin of the test.
type answer struct {
	status.Document
	counts status.Counts
	since  time.Time
	n      int64
}

// set changes the state of a setting.
func (a *answer) set(name string, state reconcile.State, live string) {
	for i := range a.Settings {
		if s := &a.Settings[i]; s.Name == name {
			s.State, s.Live, s.Since = state, (&sysfs.Setting{}).Parse(live), a.since
		}
	}
}

// drift counts drifts of max by a writer.
func (a *answer) drift(by string, n int64) {
	a.counts.Drifts = append(a.counts.Drifts, status.Count{
		Labels: status.Labels{Setting: "max", Cause: string(reconcile.CauseWrite), By: by}, Count: n,
	})
	for i := range a.Settings {
		if a.Settings[i].Name == "max" {
			a.Settings[i].LastDrift = &reconcile.Drift{At: a.since, Cause: reconcile.CauseWrite}
		}
	}
}

// fill sets the entries of both tables and what was lost; the levels are those of the real monitor.
func (a *answer) fill(connections, expectations int64, lost string) {
	s := table.Sample{At: a.since, Figures: a.Table.Figures, Counters: a.Table.Counters, ByHelper: a.Table.ByHelper}
	s.Entries, s.Expectations = &connections, &expectations
	if lost != "" {
		s.Counters[lost] += uint64(100 * a.n)
	}
	messages := a.Table.KernelMessages
	a.Table = status.NewTable(s, table.NewMonitor(1).State(s))
	a.Table.KernelMessages = messages
}

// work changes what changes from scrape to scrape on a host with traffic, and no faults: the connections, the kernel's
// counters of them, the passes of the resync and how long they took.
func (a *answer) work() {
	a.fill(50_000+rand.Int64N(5000), 3, "")
	for _, column := range []string{"found", "invalid", "insert_failed", "search_restart", "clashres"} {
		a.Table.Counters[column] += uint64(1000*a.n + rand.Int64N(500))
	}
	passes := 12 * a.n // the resync wakes one every 5 seconds, and n counts minutes here
	a.counts.Passes[string(reconcile.CauseResync)] += passes
	h := &a.counts.PassDuration
	h.Count, h.Sum = h.Count+passes, h.Sum+float64(passes)*1e-4*(1+rand.Float64())
	for i := range h.Buckets {
		if h.Buckets[i].UpTo >= 1e-4 {
			h.Buckets[i].Count += passes
		}
	}
}

// percent returns a share of a limit, rounded up.
func percent(limit *int64, n int64) int64 { return (*limit*n + 99) / 100 }

func (a *answer) fillConnections(n int64, lost string) { a.fill(percent(a.Table.Max, n), 3, lost) }
func (a *answer) fillExpectations(n int64)             { a.fill(50_000, percent(a.Table.ExpectMax, n), "") }

// The names of the faults that more than one place needs.
const (
	contested, forbidden, observedDrift = "contested", "forbidden", "drifts, and is observed"
	kubeProxy, firewalld, once          = "kube-proxy writes", "firewalld writes", "drifted once"
	refused, daemonDown, exporterDown   = "configuration refused", "daemon down", "exporter down"
	moduleAbsent, canaryFails           = "module absent", "canary fails"
	dropping, staleTextfile             = "dropping", "stale textfile"
	secondKeeper, guardUnavailable      = "second keeper", "guard unavailable"
	evicting, chains                    = "evicting", "chains"
	connectionsHigh                     = "connections high"
	connectionsCritical                 = "connections critical"
	expectationsHigh                    = "expectations high"
	expectationsCritical                = "expectations critical"
	expectationsFull                    = "expectations full"
)

// faults returns how many hosts have which fault.
func faults() map[string]int {
	return map[string]int{
		contested: 5, forbidden: 3, observedDrift: 12, kubeProxy: 10, firewalld: 7, once: 4, refused: 8, daemonDown: 6,
		moduleAbsent: 4, guardUnavailable: 2, connectionsHigh: 6, connectionsCritical: 5, dropping: 3,
		evicting: 2, chains: 2, expectationsHigh: 2, expectationsCritical: 2, expectationsFull: 1,
		"expectations refused": 1, secondKeeper: 3,
	}
}

// knownFaults returns every fault, by name.
func knownFaults() map[string]fault {
	list := []fault{
		{contested, []string{"CtkeeperSettingContested", "CtkeeperSettingOff max", "CtkeeperSettingDrifts max"}, true,
			func(a *answer) { a.set("max", reconcile.Contested, "65536"); a.drift("tuned.service", a.n) }},
		{forbidden, []string{"CtkeeperSettingOff hashsize"}, false,
			func(a *answer) { a.set("hashsize", reconcile.Forbidden, "65536") }},
		{observedDrift, []string{"CtkeeperSettingDrifted max"}, false,
			func(a *answer) { a.set("max", reconcile.Drifted, "65536") }},
		{kubeProxy, []string{"CtkeeperSettingDrifts max"}, true,
			func(a *answer) { a.drift("container/kube-proxy", a.n) }},
		{firewalld, []string{"CtkeeperSettingDrifts max"}, true, func(a *answer) { a.drift("firewalld.service", a.n) }},
		{once, nil, false, func(a *answer) { a.drift("session-*.scope", 1) }},
		{refused, []string{"CtkeeperConfigRefused"}, false, func(a *answer) {
			a.Daemon.Config.OK, a.Daemon.Config.Error = false, "/etc/ctkeeper/ctkeeper.yaml:2:3: settings.mx: unknown"
		}},
		{daemonDown, []string{"CtkeeperDown"}, false, nil},
		{exporterDown, []string{"CtkeeperExporterDown"}, false, nil},
		{moduleAbsent, nil, false, func(a *answer) {
			a.Module.State, a.Table = kmod.Absent, status.Table{}
			for _, s := range a.Settings {
				a.set(s.Name, reconcile.Pending, "")
			}
		}},
		{canaryFails, []string{"CtkeeperSettingOff hashsize"}, false,
			func(a *answer) { a.set("hashsize", reconcile.Failed, "65536") }},
		{guardUnavailable, []string{"CtkeeperGuardNotInEffect"}, false, func(a *answer) {
			a.Guard.Mode, a.Guard.State = "watch", status.GuardUnavailable
		}},
		{secondKeeper, nil, false,
			func(a *answer) { a.Daemon.KeptElsewhere, a.Daemon.Mode = true, reconcile.Observe }},
		{staleTextfile, []string{"CtkeeperTextfileStale"}, false, nil},
	}
	byName := map[string]fault{"": {}}
	for _, f := range append(list, tableFaults()...) {
		byName[f.name] = f
	}
	return byName
}

func tableFaults() []fault {
	high, critical := "CtkeeperTableHigh", "CtkeeperTableCritical"
	expectHigh, expectCritical := "CtkeeperExpectationsHigh", "CtkeeperExpectationsCritical"
	return []fault{
		{connectionsHigh, []string{high}, false, func(a *answer) { a.fillConnections(85, "") }},
		{connectionsCritical, []string{high, critical}, false, func(a *answer) { a.fillConnections(96, "") }},
		{dropping, []string{high, critical, "CtkeeperDropped"}, true,
			func(a *answer) { a.fillConnections(100, "drop") }},
		{evicting, []string{high, critical, "CtkeeperEvicted"}, true,
			func(a *answer) { a.fillConnections(97, "early_drop") }},
		{chains, []string{"CtkeeperRefusedForChain"}, true, func(a *answer) { a.fillConnections(40, "chainlength") }},
		{expectationsHigh, []string{expectHigh}, false, func(a *answer) { a.fillExpectations(85) }},
		{expectationsCritical, []string{expectHigh, expectCritical}, false,
			func(a *answer) { a.fillExpectations(96) }},
		{expectationsFull, []string{expectHigh, expectCritical, "CtkeeperExpectationsFull"}, false,
			func(a *answer) { a.fillExpectations(100) }},
		{"expectations refused", []string{"CtkeeperExpectationsFull"}, true, func(a *answer) {
			a.Table.Expectations, a.counts.KernelMessages = nil, map[string]int64{status.ExpectationsFull: a.n}
			delete(a.Table.Conditions, table.Expectations)
		}},
	}
}

// newHosts returns the hosts of the fleet.
func newHosts(begin time.Time) []*simHost {
	known := knownFaults()
	var wrong []string
	counts := faults()
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		wrong = append(wrong, slices.Repeat([]string{name}, counts[name])...)
	}
	var hosts []*simHost
	for i := range fleetHosts {
		rack := i / rackHosts
		h := &simHost{
			name: fmt.Sprintf("h%04d", i), rack: fmt.Sprintf("r%02d", rack), job: "ctkeeper", kernel: mainKernel,
			since: begin.Add(-time.Duration(i) * time.Minute).Truncate(time.Millisecond),
		}
		switch i % 20 {
		case 3:
			h.kernel = "5.10.0-34-amd64"
		case 4, 14:
			h.kernel = "6.12.48+deb13-amd64"
		}
		if i%100 == 50 {
			h.version = oldVersion
		}
		fault := ""
		switch {
		case rack >= firstDownRack:
			fault = exporterDown
		case rack == canaryRack:
			h.hash = canaryHash
			if i%5 == 0 {
				fault = canaryFails
			}
		case i%11 == 5 && len(wrong) > 0:
			fault, wrong = wrong[0], wrong[1:]
		}
		h.observe = fault == observedDrift || fault == secondKeeper || fault == "" && i%50 == 7
		h.fault = known[fault]
		hosts = append(hosts, h)
	}
	for i, fault := range []string{"", staleTextfile, staleTextfile} {
		hosts = append(hosts, &simHost{name: fmt.Sprintf("t%d", i), rack: "r00", job: "node", kernel: mainKernel,
			fault: known[fault], since: begin.Truncate(time.Millisecond)})
	}
	return hosts
}

// A fleet serves the metrics of many hosts.
type fleet struct {
	t              testing.TB
	dir            string // for textfiles
	begin          time.Time
	version        string // of the real daemon
	hash           string // of its configuration
	status, counts []byte // its documents
	hosts          []*simHost
	byName         map[string]*simHost
	limit          int      // of the hosts that are scraped, unless 0
	fixed          sync.Map // the answers of the hosts whose metrics do not change, by name
	busy           bool     // makes every answer anew, from documents with other figures, as the hosts of a fleet do
}

// newFleet returns a fleet whose hosts have the documents of a daemon.
func newFleet(t testing.TB, socket string) *fleet {
	t.Helper()
	client := status.NewClient(socket)
	document, err := client.Status(t.Context())
	counts, failed := client.Counts(t.Context())
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, dir: t.TempDir(), begin: time.Now(), byName: map[string]*simHost{}}
	f.version, f.hash = document.Daemon.Version, document.Daemon.Config.Hash
	f.hosts = newHosts(f.begin)
	f.status, err = json.Marshal(document)
	f.counts, failed = json.Marshal(counts)
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	for _, h := range f.hosts {
		f.byName[h.name] = h
		if h.version == "" {
			h.version = f.version
		}
		if h.hash == "" {
			h.hash = f.hash
		}
	}
	return f
}

// A simDaemon is the daemon of one host.
type simDaemon struct {
	*simHost
	fleet *fleet
}

func (d simDaemon) answer() (a answer, err error) {
	if d.fault.name == daemonDown {
		return a, errors.New("connection refused")
	}
	err = errors.Join(json.Unmarshal(d.fleet.status, &a.Document), json.Unmarshal(d.fleet.counts, &a.counts))
	a.since, a.n = d.since, int64(time.Since(d.fleet.begin).Seconds())
	a.Kernel, a.Daemon.Version, a.Daemon.Config.Hash = d.kernel, d.version, d.hash
	if d.observe {
		a.Daemon.Mode = reconcile.Observe
	}
	if d.fleet.busy {
		a.work()
	}
	if d.fault.inject != nil {
		d.fault.inject(&a)
	}
	return a, err
}

func (d simDaemon) Status(context.Context) (status.Document, error) {
	a, err := d.answer()
	return a.Document, err
}

func (d simDaemon) Counts(context.Context) (status.Counts, error) {
	a, err := d.answer()
	return a.counts, err
}

// ServeHTTP serves the hosts of a job for Prometheus's http_sd_configs at /targets/JOB, and the metrics of a host at
// /HOST.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	h := f.byName[name]
	m := metrics.New(simDaemon{h, f}, func(error) {})
	switch {
	case h == nil:
		f.serveTargets(w, r, strings.TrimPrefix(name, "targets/"))
	case h.fault.name == exporterDown:
		http.Error(w, "its rack has no network", http.StatusServiceUnavailable)
	case h.job == "node":
		f.serveTextfile(w, m, h.fault.name == staleTextfile)
	case h.fault.grows || f.busy:
		m.Handler().ServeHTTP(w, r)
	default:
		kept, found := f.fixed.Load(name)
		if !found {
			kept = httptest.NewRecorder()
			m.Handler().ServeHTTP(kept.(*httptest.ResponseRecorder), r)
			f.fixed.Store(name, kept)
		}
		recorded := kept.(*httptest.ResponseRecorder)
		for key, values := range recorded.Header() {
			w.Header()[key] = values
		}
		_, _ = w.Write(recorded.Body.Bytes()) // fails only if Prometheus is gone
	}
}

func (f *fleet) serveTargets(w http.ResponseWriter, r *http.Request, job string) {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	var groups []group
	for _, h := range f.hosts {
		if h.job == job && (f.limit == 0 || len(groups) < f.limit) {
			groups = append(groups, group{[]string{r.Host}, map[string]string{
				"__metrics_path__": "/" + h.name, "instance": h.name, "rack": h.rack,
			}})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(groups); err != nil {
		f.t.Log(err)
	}
}

// serveTextfile serves what node_exporter makes of a textfile: its lines, and when it was written.
func (f *fleet) serveTextfile(w http.ResponseWriter, m *metrics.Metrics, isStale bool) {
	dir, err := os.MkdirTemp(f.dir, "")
	if err == nil {
		err = m.WriteTextfile(f.t.Context(), dir)
	}
	text, failed := os.ReadFile(filepath.Join(dir, metrics.Textfile))
	if err := errors.Join(err, failed); err != nil {
		f.t.Error(err)
	}
	written := time.Now()
	if isStale {
		written = written.Add(-time.Hour)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = fmt.Fprintf(w, "%snode_textfile_mtime_seconds{file=%q} %d\n", text, // fails only if Prometheus is gone
		filepath.Join("/var/lib/prometheus/node-exporter", metrics.Textfile), written.Unix())
}
