package packaging

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// A pager receives the messages of an Alertmanager.
type pager struct {
	alertmanager string // its address
	mu           sync.Mutex
	messages     int
	alerts       []string // what the messages are about
}

// ServeHTTP implements the receiver of Alertmanager's webhook_configs.
func (p *pager) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var message struct {
		GroupLabels map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		return // the alert is then missing
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages++
	if alert := message.GroupLabels["alertname"]; !slices.Contains(p.alerts, alert) {
		p.alerts = append(p.alerts, alert)
	}
}

// received returns the number of messages, and the alerts that they are about.
func (p *pager) received() (int, []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.messages, slices.Sorted(slices.Values(p.alerts))
}

// startAlertmanager runs an Alertmanager with the configuration of docs/fleet.md, with shortened durations.
func startAlertmanager(t *testing.T) *pager {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		netns.Cannot(t, "no prometheus-alertmanager: apt-get install prometheus-alertmanager")
	}
	p := &pager{alertmanager: freeAddress(t)}
	receiver := httptest.NewServer(p)
	t.Cleanup(receiver.Close)
	text := strings.Join(fleetBlocks(t, "yaml")["alertmanager.yml"].Lines, "\n") + "\n"
	text = strings.ReplaceAll(shorten(text, fleetSpeed), "http://127.0.0.1:9099/", receiver.URL)
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, program, "--config.file="+file, "--storage.path="+t.TempDir(), "--web.listen-address="+p.alertmanager,
		"--cluster.listen-address=")
	return p
}

// testMessages checks which alerts become messages: one for each alert and job, without those that a worse one holds
// back.
func (f *fleet) testMessages(t *testing.T, p *pager, alerts int) {
	want := slices.DeleteFunc(alertNames(t), func(name string) bool {
		return name == "CtkeeperDown" || name == "CtkeeperExporterDown"
	})
	slices.Sort(want)
	wait(t, "every message", func() bool {
		_, got := p.received()
		return len(missing(want, got)) == 0
	}, func() string { _, got := p.received(); return cmp.Diff(want, got) })
	messages, got := p.received()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages about (-want +got):\n%s", diff)
	}
	t.Logf("%d messages about %d alerts", messages, alerts)
}
