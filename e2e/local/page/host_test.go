package page_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// host is a host that tests change while the page looks at it. Its status has the
// names of ctkeeper status -o json; the test with the real daemon holds them.
type host struct {
	mu       sync.Mutex
	pid      int
	since    time.Time
	refused  string
	reload   bool // a parameter of the module needs a reload
	settings []reconcile.SettingStatus
	figures  map[string]any
	guard    map[string]any
	events   []reconcile.Event
	points   []table.Point
}

// number is a live or wanted value as the kernel shows it; the empty text is an unknown value.
func number(text string) sysfs.Value {
	if text == "" {
		return sysfs.Value{}
	}
	return (&sysfs.Setting{}).Parse(text)
}

func setting(name, now, want string, state reconcile.State, drifts int) reconcile.SettingStatus {
	s := reconcile.SettingStatus{Drifts: drifts, Comparison: reconcile.Comparison{
		Name:   name,
		Want:   number(want),
		Live:   number(now),
		State:  state,
		Policy: sysfs.Exactly,
		Origin: tree.Place{File: "/etc/ctkeeper/conf.d/50-gateway.yaml", Line: 3},
	}}
	if drifts > 0 {
		s.LastDrift = &reconcile.Drift{
			At:         time.Now().Add(-3 * time.Minute),
			Found:      sysfs.Number(65536),
			Cause:      reconcile.CauseModuleLoad,
			RepairedIn: reconcile.Duration(1234 * time.Microsecond),
		}
	}
	return s
}

// kubeProxy is a writer with a value in each field.
func kubeProxy() sysfs.Writer {
	return sysfs.Writer{
		PID: 2211, Comm: "kube-proxy", Unit: "cri-containerd-4f0c8a21bd03.scope",
		Container: "4f0c8a21bd03" + strings.Repeat("0", 52), Pod: "1f0d2c6e-8a51-4c36-9a52-0d6f8e1b7a11",
	}
}

// locked is a guard with a value in each field but error.
func locked() map[string]any {
	return map[string]any{
		"mode":   "lock",
		"state":  "locked",
		"names":  []string{"pid", "unit", "module"},
		"locked": []string{"hashsize", "max", "expect_max"},
		"allow":  []string{"docker.service", "system-kube.slice"},
		"note":   "blocks accidental changes, no defence against root",
		"missing": []map[string]string{
			{"what": "the command of a writer", "why": "CAP_PERFMON is missing", "hint": "install guard-perfmon.conf"},
			{
				"what": "who writes hashsize through sysfs",
				"why":  "CAP_PERFMON is missing",
				"hint": "install guard-perfmon.conf",
			},
		},
		"refused": []map[string]any{
			refusal("hashsize", 0, "", sysfs.Writer{}),
			refusal("max", 1234, "131072", kubeProxy()),
			refusal("expect_max", 1, "", sysfs.Writer{}),
		},
		"absorbed": []map[string]any{refusal("max", 7, "65536", sysfs.Writer{})},
	}
}

func refusal(setting string, count int, value string, by sysfs.Writer) map[string]any {
	return map[string]any{
		"setting": setting,
		"count":   count,
		"last":    map[string]any{"at": time.Now().Add(-2 * time.Minute), "value": value, "by": by},
	}
}

// gateway is a host with settings in several states, a table that fills, and events.
func gateway() *host {
	h := &host{pid: 4711, since: time.Now().Add(-26 * time.Hour), reload: true}
	least := setting("hashsize", "262144", "262144", reconcile.InSync, 0)
	least.Policy = sysfs.AtLeast
	failed := setting("expect_max", "1024", "0", reconcile.Failed, 0)
	failed.Error = "invalid argument"
	h.settings = []reconcile.SettingStatus{
		least, setting("max", "65536", "65536", reconcile.InSync, 2), failed,
		setting("tcp_timeout_established", "432000", "86400", reconcile.Contested, 31),
		setting("udp_timeout_stream", "", "180", reconcile.Unsupported, 0),
	}
	h.figures = map[string]any{
		"entries": 56789, "max": 65536, "buckets": 262144, "expectations": 12, "expect_max": 1024,
		"load_factor": 0.2166,
		"counters": map[string]uint64{
			"entries":        56789,
			"found":          12,
			"chainlength":    0,
			"drop":           1291,
			"early_drop":     40321,
			"insert_failed":  7,
			"search_restart": 0,
		},
		"rates": map[string]float64{
			"entries":       42.5,
			"drop":          12.25,
			"early_drop":    0.33,
			"insert_failed": 0,
		},
		"conditions": map[string]table.Condition{
			"connections":  {Level: table.High, Loss: table.Dropping, FullInSeconds: 372},
			"expectations": {Level: table.Normal},
		},
		"kernel_messages":        map[string]int64{"table-full": 1291, "expectation-table-full": 0},
		"expectations_by_helper": map[string]int64{"sip": 9, "ftp": 3},
	}
	by := kubeProxy()
	h.settings[3].LastDrift.Cause, h.settings[3].LastDrift.By = reconcile.CauseWrite, &by
	h.guard = locked()
	now := time.Now().Unix()
	for at := now - 6*3600; at < now; at += 10 {
		if at > now-9000 && at < now-7800 {
			continue // it did not run then
		}
		grown := float64(at-now+6*3600) / (6 * 3600)
		p := table.Point{
			At:        at,
			Max:       65536,
			ExpectMax: 1024,
			Entries:   int64(20000 + 36000*grown*grown + 2500*math.Sin(float64(at-now)/700)),
		}
		p.Expectations = int64(60 + 50*math.Sin(float64(at-now)/900))
		if p.Entries > 54000 {
			p.Dropped, p.Evicted = (now-at)/10%7, (now-at)/10%11*40
		}
		h.points = append(h.points, p)
	}
	h.events = append(h.events, reconcile.Event{
		At:       time.Now().Add(-50 * time.Minute),
		Kind:     reconcile.KindTablePressure,
		Pressure: reconcile.Pressure{Table: table.Connections, Level: string(table.High), Loss: string(table.Dropping)},
		Message:  "the connection table is 84 % full, and packets are dropped",
	})
	for i := range 6 {
		h.drift("max", "65536", time.Now().Add(-time.Duration(40-7*i)*time.Minute))
	}
	return h
}

// drift adds the event of a repaired drift.
func (h *host) drift(name, found string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, reconcile.Event{
		At:       at,
		Kind:     reconcile.KindDrift,
		Setting:  name,
		Want:     sysfs.Number(1048576),
		Found:    number(found),
		Result:   reconcile.ResultRepaired,
		Cause:    reconcile.CauseWrite,
		Duration: reconcile.Duration(time.Millisecond),
		Message:  fmt.Sprintf("%s was %s, wanted 1048576: repaired in 1ms (cause: write)", name, found),
	})
}

// change changes the host while no request reads it.
func (h *host) change(to func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	to()
}

// Status, Events and Points make the host a page.Source.
func (h *host) Status(context.Context) (status.Document, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	figures := map[string]any{}
	for name, value := range h.figures {
		figures[name] = value
	}
	parameters := []map[string]any{}
	if h.reload {
		parameters = append(parameters, map[string]any{
			"name": "expect_hashsize", "want": "2048", "live": "256", "state": "reload", "error": "",
			"origin": tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 9},
		})
	}
	d := decode(map[string]any{
		"api": 1,
		"daemon": map[string]any{
			"running": true, "pid": h.pid, "version": "1.2.3", "since": h.since, "mode": reconcile.Enforce,
			"config": map[string]any{
				"ok":    h.refused == "",
				"error": h.refused,
				"files": []string{"/etc/ctkeeper/ctkeeper.yaml", "/etc/ctkeeper/conf.d/50-gateway.yaml"},
			},
		},
		"module": map[string]any{
			"name":       "nf_conntrack",
			"state":      "loaded",
			"loads":      3,
			"parameters": parameters,
		},
		"settings": append([]reconcile.SettingStatus{}, h.settings...),
		"table":    figures,
		"guard":    h.guard,
	})
	d.Judge()
	return d, nil
}

func (h *host) Events(_ context.Context, since time.Time, _ bool, each func(reconcile.Event) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.At.After(since) {
			if err := each(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *host) Points(_ context.Context, since time.Time) ([]table.Point, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var points []table.Point
	for _, p := range h.points {
		if time.Unix(p.At, 0).After(since) {
			points = append(points, p)
		}
	}
	return points, nil
}

// decode returns the document with these JSON names. It panics for a name that the document does not have.
func decode(names map[string]any) (d status.Document) {
	text, err := json.Marshal(names)
	if err != nil {
		panic(err)
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		panic(err)
	}
	return d
}

// hostile returns values that a drop-in or a kernel could have.
func hostile() []string {
	return []string{
		`<script>alert(1)</script>`, `<img src=x onerror="alert(2)">`, `"><svg onload=alert(3)>`, `javascript:alert(4)`,
		`'-alert(5)-'`, `__proto__`, "constructor", "\u202e\u2066drow", strings.Repeat("9", 20_000),
	}
}
