package page_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/ui/page"
)

// unreachable is a browser's error if no server listens.
const unreachable = "net::ERR_CONNECTION_REFUSED"

func TestPageInTheBrowser(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for name, test := range map[string]func(*tab){
		"values": pageShowsTheValues, "updates": pageUpdatesByItself, "away": pageSurvivesTheServer,
		"clock":   pageFollowsTheClock,
		"hostile": hostileValuesAreText, "phone": pageFitsAPhone, "contrast": pageCanBeRead, "empty": pageOfAnEmptyHost,
		"answers": pageSurvivesAnswers, "password": pageBehindAPassword,
		"guard": pageShowsTheGuard, "writer": pageNamesWriters,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(openTab(t, browser, 1280, 900))
		})
	}
}

func (b *tab) same(what string, want, got any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// words joins the words of a text by single spaces.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

func pageShowsTheValues(b *tab) {
	h := gateway()
	at := func(t time.Time) string {
		const show = `((ms) => { const t = new Date(ms), clock = t.toTimeString().slice(0, 8);
			if (t.toDateString() === new Date().toDateString()) return clock;
			const day = { year: "numeric", month: "short", day: "numeric" };
			return t.toLocaleDateString(undefined, day) + ", " + clock; })(%d)`
		return value[string](b, fmt.Sprintf(show, t.UnixMilli()))
	}
	address, _ := serveAt(b.T, "", page.Handler(h))
	b.open("http://" + address)

	last := at(h.settings[1].LastDrift.At) + " found 65536, module-load, repaired in 1.23ms"
	fight := at(h.settings[3].LastDrift.At) + " found 65536, write by kube-proxy " +
		"(pid 2211, container 4f0c8a21bd03 of pod 1f0d2c6e-8a51-4c36-9a52-0d6f8e1b7a11), repaired in 1.23ms"
	const origin = " | /etc/ctkeeper/conf.d/50-gateway.yaml:3"
	b.same("settings", []string{
		"hashsize | in-sync | at least 262144 | 262144 | 0 | –" + origin,
		"max | in-sync | 65536 | 65536 | 2 | " + last + origin,
		"expect_max | failed invalid argument | 0 | 1024 | 0 | –" + origin,
		"tcp_timeout_established | contested | 86400 | 432000 | 31 | " + fight + origin,
		"udp_timeout_stream | unsupported | 180 | – | 0 | –" + origin,
	}, b.rows("settings"))
	for selector, want := range map[string]string{
		"#state": "2 of 5 settings are applied, 1 failed, 1 contested, 1 unsupported, " +
			"connections over 80 % of the limit, packets are being dropped.",
		"#connections": "86.7 % 56,789 of 65,536 high, packets are being dropped, full in about 6 min",
		"#connection-facts": "Buckets 262,144 Connections a bucket 0.22 Change +42.5 a second " +
			"“Table full” in the kernel’s log 1,291",
		"#expectations":      "1.2 % 12 of 1,024",
		"#expectation-facts": "sip 9 ftp 3",
		"#daemon": "Module nf_conntrack loaded Loads seen 3 " +
			"Parameter expect_hashsize want 2048, live 256: reload (/etc/ctkeeper/ctkeeper.yaml:9) " +
			"Mode enforce Version 1.2.3 Process 4711 Running since " + words(b.text("#daemon time")) +
			" Configuration /etc/ctkeeper/ctkeeper.yaml, /etc/ctkeeper/conf.d/50-gateway.yaml",
	} {
		b.same(selector, want, words(b.text(selector)))
	}
	b.same("counters", []string{
		"drop | 1,291 | 12.3 | packets dropped: the table was full, memory was short, or a helper dropped it",
		"early_drop | 40,321 | 0.33 | connections evicted to make room for new ones",
		"insert_failed | 7 | 0 | connections not inserted: another packet inserted the same one first",
		"found | 12 | – | ",
	}, b.rows("counters"))
	newest := h.events[len(h.events)-1]
	rows := b.rows("history")
	b.same("newest event", at(newest.At)+" | drift, repaired | max | "+newest.Message, rows[0])
	b.same("number of events", len(h.events), len(rows))
	const pressure = " | table-pressure |  | the connection table is 84 % full, and packets are dropped"
	b.same("oldest event", at(h.events[0].At)+pressure, rows[len(rows)-1])
	b.holds(`document.querySelector("#history tbody tr:last-child .badge").className === "badge bad"`)
	title := value[string](b, `document.querySelector("#history tbody time").title`)
	b.same("its time", newest.At.Format(time.RFC3339Nano), title)
	b.holds(`document.querySelector("#connections .bar").getAttribute("aria-valuenow") === "87"`)
	b.holds(`Math.abs(document.querySelector("#connections .bar div").offsetWidth /
		document.querySelector("#connections .bar").offsetWidth - 0.867) < 0.01`)
	b.holds(`document.getElementById("refused").hidden`)
	b.holds(`document.title.startsWith("2 of 5 settings")`)
	plotsAreDrawn(b, h)
	b.picture("light")
	b.prefers("dark")
	b.picture("dark")
	b.quiet()
}

// plotsAreDrawn chooses the longest range, which holds the time without points, and
// points at the plot.
func plotsAreDrawn(b *tab, h *host) {
	b.Helper()
	moves := `document.querySelector("#fill-plot .line.connections").getAttribute("d").split("M").length - 1`
	b.same("pieces of the line in the last hour", 1, value[int](b, moves))
	b.run(chromedp.Click(chromedp.CSS(`#ranges button[data-seconds="21600"]`)))
	b.holds(`document.querySelector("#ranges [aria-pressed=true]").textContent === "6 h"`)
	b.same("pieces of the line in six hours", 2, value[int](b, moves))
	dropped := int64(0)
	for _, p := range h.points {
		dropped += p.Drops
	}
	shown := value[string](b, fmt.Sprintf(`(%d).toLocaleString()`, dropped))
	b.same("drops", shown+" in this range", b.text("#drops-text"))
	edge := value[[]float64](b, `(() => {
		const svg = document.getElementById("fill-plot");
		svg.scrollIntoView();
		const box = svg.getBoundingClientRect();
		return [box.right - 4, box.top + 30];
	})()`)
	b.run(chromedp.MouseEvent(chromedp.MouseMoved, edge[0], edge[1]))
	last := h.points[len(h.points)-1]
	b.until(fmt.Sprintf(`document.getElementById("fill-text").innerText
		.includes((%d).toLocaleString() + " of 65,536 (")`, last.Entries))
	b.holds(`document.querySelector("#fill-plot .cross") !== null`)
}

// pageUpdatesByItself changes the host while the page is open.
func pageUpdatesByItself(b *tab) {
	h := gateway()
	var mu sync.Mutex
	var requests []string
	handler := page.Handler(h)
	address, _ := serveAt(b.T, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/v1/page" {
			requests = append(requests, r.URL.Query().Get("since"))
		}
		handler.ServeHTTP(w, r)
	}))
	b.open("http://" + address)
	// What is there already is left as it is.
	b.holds(`(window.mark = document.querySelector("#history tbody tr")) !== null`)
	h.drift("max", "4711", time.Now())
	h.change(func() {
		h.settings[1] = setting("max", "4711", "65536", reconcile.Drifted, 3)
		h.figures["entries"] = 1000
		h.refused = "ctkeeper.yaml:3:8: settings.max: 1x is not a number"
	})
	b.until(`document.querySelector("#history tbody tr").innerText.includes("was 4711")`)
	b.holds(`window.mark === document.querySelectorAll("#history tbody tr")[1]`)
	cells := strings.Split(b.rows("settings")[1], " | ")
	b.same("max", "max | drifted | 65536 | 4711 | 3", strings.Join(cells[:5], " | "))
	b.same("connections", "1.5 % 1,000 of 65,536", words(b.text("#connections .sum")))
	b.same("refused", "The newest configuration was refused The last good one stays in effect. "+
		"ctkeeper.yaml:3:8: settings.max: 1x is not a number", words(b.text("#refused")))
	h.change(func() { h.refused = "" })
	b.until(`document.getElementById("refused").hidden`)
	mu.Lock()
	defer mu.Unlock()
	if len(requests) < 3 || requests[0] != "" {
		b.Fatalf("requests since %q, want all at first, and at least three", requests)
	}
	for _, since := range requests[1:] {
		if at, err := time.Parse(time.RFC3339Nano, since); err != nil || time.Since(at) > time.Minute {
			b.Errorf("request since %q, want at most the last minute", since)
		}
	}
	b.quiet()
}
