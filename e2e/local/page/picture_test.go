package page_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/ui/page"
)

// sizes are those of a phone, a laptop and a large screen.
var sizes = [][2]int64{{390, 844}, {1280, 800}, {1920, 1080}}

// TestPictures shows hosts in several states on every screen, light and dark: nothing is wider than the window, no
// word is broken, every text has contrast. Its screenshots are for people to look at (see tab.picture).
func TestPictures(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for name, h := range map[string]*host{
		"healthy": healthy(), "fire": onFire(), "crowd": crowded(), "hostile": hostileHost(), "gateway": gateway(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := serveAt(t, "", page.Handler(h, "/metrics"))
			for _, size := range sizes {
				b := openTab(t, browser, size[0], size[1])
				b.open("http://" + address)
				fits(b, int(size[0]))
				b.same("cells on others", []string{}, value[[]string](b, overlaps))
				if name != "hostile" { // it has longer ones
					b.same("broken words", []string{}, value[[]string](b, brokenWords))
				}
				for _, scheme := range []string{"light", "dark"} {
					b.prefers(scheme)
					b.same("too little contrast, "+scheme, []string{}, value[[]string](b, contrast))
					b.picture(fmt.Sprintf("%s-%d-%s", name, size[0], scheme))
				}
				b.quiet()
			}
		})
	}
}

// overlaps returns every value in a table that is over the next one.
const overlaps = `[...document.querySelectorAll("tr > :not(.details)")].filter((cell) => {
	const next = cell.nextElementSibling;
	if (!next || next.matches(".details") || !cell.checkVisibility() || !next.checkVisibility()) return false;
	const [a, b] = [cell, next].map((n) => (n.firstElementChild ?? n).getBoundingClientRect());
	return a.right > b.left + 1 && b.right > a.left + 1 && a.bottom > b.top + 1 && b.bottom > a.top + 1;
}).map((n) => n.outerHTML.slice(0, 100))`

// brokenWords returns every word that is on two lines although a line could hold it.
const brokenWords = `(() => {
	const range = document.createRange(), found = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let node; (node = walker.nextNode()); ) {
		if (!node.parentElement.checkVisibility()) continue;
		const words = /(?<![^\s\/.,;:=()-])\w{2,20}(?=[\s\/.,;:=()-]|$)/g;
		for (const { 0: word, index } of node.data.matchAll(words)) {
			range.setStart(node, index);
			range.setEnd(node, index + word.length);
			const rects = [...range.getClientRects()].filter((r) => r.width > 0);
			if (new Set(rects.map((r) => Math.round(r.top))).size > 1) found.push(word + " in " + node.data);
		}
	}
	return found;
})()`

// healthy is a host on which nothing is wrong.
func healthy() *host {
	h := &host{pid: 812, since: time.Now().Add(-40 * 24 * time.Hour)}
	for name, value := range map[string]string{"max": "1048576", "hashsize": "262144", "expect_max": "8192"} {
		h.settings = append(h.settings, setting(name, value, value, reconcile.InSync, 0))
	}
	h.settings = append(h.settings, setting("tcp_timeout_established", "86400", "86400", reconcile.InSync, 2))
	h.figures = map[string]any{
		"entries": 187_342, "max": 1_048_576, "buckets": 262_144, "expectations": 12, "expect_max": 8192,
		"load_factor": 0.71,
		"counters":    map[string]uint64{"drop": 0, "early_drop": 0, "insert_failed": 3, "invalid": 91_233},
		"rates":       map[string]float64{"entries": -3.2, "drop": 0, "early_drop": 0, "invalid": 0.4},
		"conditions": map[string]table.Condition{
			"connections": {Level: table.Normal}, "expectations": {Level: table.Normal},
		},
		"expectations_by_helper": map[string]int64{"sip": 12},
	}
	now := time.Now().Unix()
	for at := now - 6*3600; at <= now; at += 10 {
		day := math.Sin(float64(at-now)/4000) + 0.1*math.Sin(float64(at)/37)
		h.points = append(h.points, table.Point{
			At: at, Entries: int64(187_342 + 60_000*day), Max: 1_048_576, Expectations: 12, ExpectMax: 8192,
		})
	}
	h.events = []reconcile.Event{
		{At: h.since, Kind: reconcile.KindConfigLoaded, Message: "the configuration was loaded"},
	}
	h.drift("tcp_timeout_established", "432000", time.Now().Add(-3*time.Hour))
	return h
}

// onFire is a host with full tables, a setting that somebody keeps changing, a setting that cannot be written, and a
// configuration that was refused.
func onFire() *host {
	h := gateway()
	began := time.Now().Add(-12 * time.Minute)
	h.figures["entries"], h.figures["expectations"] = 65536, 1024
	h.figures["counters"] = map[string]uint64{
		"drop": 482_113, "early_drop": 40_321, "chainlength": 12, "insert_failed": 7, "invalid": 1_204_551,
	}
	h.figures["rates"] = map[string]float64{"entries": 0, "drop": 1208.4, "early_drop": 3.3, "chainlength": 0.4}
	h.figures["grown"] = map[string]uint64{"drop": 12084, "early_drop": 33, "chainlength": 4}
	h.figures["grown_seconds"] = 10
	h.figures["conditions"] = map[string]table.Condition{
		"connections":  {Level: table.Critical, Loss: table.Dropping, Since: began},
		"expectations": {Level: table.Critical, Loss: table.Refusing, Since: began.Add(4 * time.Minute)},
	}
	h.figures["expectations_by_helper"] = map[string]int64{"sip": 1019, "ftp": 5}
	by := sysfs.Writer{PID: 14711, Comm: "tuned", Unit: "tuned.service"}
	h.settings[1] = setting("max", "65536", "1048576", reconcile.Contested, 63)
	h.settings[1].Since, h.settings[1].LastDrift.By = began.Add(-time.Minute), &by
	h.settings[1].LastDrift.Cause, h.settings[1].LastDrift.RepairedIn = reconcile.CauseWrite, 0
	h.settings[2] = setting("expect_max", "1024", "8192", reconcile.Forbidden, 0)
	h.settings[2].Error = "permission denied: the file belongs to the host, and this is a network namespace of its " +
		"own; set it on the host, or run ctkeeper there"
	h.settings[2].Since = h.since
	h.refused = "/etc/ctkeeper/conf.d/50-gateway.yaml:3:10: settings.max: 1x is not a number " +
		"(a whole number, or auto)\n/etc/ctkeeper/conf.d/50-gateway.yaml:4:3: settings.hashsiz: no such setting " +
		"(did you mean hashsize?)"
	for i := range h.points {
		p := &h.points[i]
		if late := p.At - began.Unix(); late > -600 {
			p.Entries = min(65536, p.Entries+(late+600)*20)
		}
		if p.At > began.Unix() {
			p.Entries, p.Dropped, p.Evicted = 65536, 9000+p.At%3000, p.At%40
		}
		if p.At > began.Unix()+240 {
			p.Expectations = 1024
		}
	}
	pressure := reconcile.Pressure{Table: "connections", Level: string(table.Critical), Loss: string(table.Dropping)}
	h.events = append(h.events,
		reconcile.Event{
			At: began, Kind: reconcile.KindTablePressure, Pressure: pressure,
			Message: "the kernel drops new connections, 12084 packets in the last 10 s; the connection table is " +
				"full: 65536 of 65536 entries",
		},
		reconcile.Event{
			At: began.Add(30 * time.Second), Kind: reconcile.KindConfigRefused,
			Message: "the configuration was refused, the last good one stays in effect: " + h.refused,
		})
	return h
}

// crowded is a host with 200 settings and 1,024 events.
func crowded() *host {
	h := healthy()
	h.settings = nil
	name := func(i int) string { return fmt.Sprintf("net.netfilter.nf_conntrack_key_%03d", i%200) }
	for i := range 200 {
		h.settings = append(h.settings, setting(name(i), "1", "1", reconcile.InSync, 0))
	}
	failed := setting("expect_max", "1024", "0", reconcile.Failed, 0)
	failed.Error = "cannot write 0: write /proc/sys/net/netfilter/nf_conntrack_expect_max: invalid argument"
	h.settings[77] = failed
	h.settings[140] = setting("udp_timeout_stream", "", "180", reconcile.Unsupported, 0)
	h.events = nil
	for i := range 1024 {
		h.drift(name(i), "7", time.Now().Add(-time.Duration(1024-i)*13*time.Second))
	}
	return h
}
