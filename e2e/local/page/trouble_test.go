package page_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/ui/page"
)

// pageSurvivesTheServer stops the server and starts another one at its address, which has some of the events and none
// of the points.
func pageSurvivesTheServer(b *tab) {
	h := gateway()
	address, stop := serveAt(b.T, "", page.Handler(h))
	b.open("http://" + address)
	before := b.rows("history")
	stop()
	b.until(`document.body.className === "away"`)
	state := b.text("#state")
	if !strings.HasPrefix(state, "No answer since ") || !strings.HasSuffix(state, "; the values below are old.") {
		b.Errorf("while the server is away the page shows %q", state)
	}
	b.same("history while the server is away", before, b.rows("history"))

	next := gateway()
	next.pid, next.since, next.points = 4712, time.Now(), nil
	next.events = nil
	for _, e := range h.events[4:] {
		e.At = e.At.In(time.FixedZone("", 3600))
		next.events = append(next.events, e)
	}
	next.drift("hashsize", "16384", time.Now().Add(-time.Hour)) // while the page had no server
	serveAt(b.T, address, page.Handler(next))
	b.until(`document.body.className === "" && document.querySelectorAll("#history tbody tr").length === 8`)
	rows := b.rows("history")
	b.same("history of both", before, rows[:len(before)])
	if !strings.HasSuffix(rows[7], "| hashsize | hashsize was 16384, wanted 1048576: repaired in 1ms (cause: write)") {
		b.Errorf("the event of the time away is %q", rows[7])
	}
	b.holds(`document.getElementById("state").innerText.startsWith("2 of 5 settings")`)
	b.holds(`document.getElementById("daemon").innerText.includes("4712")`)
	// The older points are still plotted.
	b.holds(`document.querySelector("#fill-plot .line.connections").getAttribute("d").length > 100`)
	b.quiet(unreachable)
}

// pageSurvivesAnswers sends answers that the page cannot read.
func pageSurvivesAnswers(b *tab) {
	handler := page.Handler(gateway())
	var broken atomic.Pointer[string]
	address, _ := serveAt(b.T, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := broken.Load(); r.URL.Path == "/v1/page" && answer != nil {
			_, _ = w.Write([]byte(*answer))
			return
		}
		handler.ServeHTTP(w, r)
	}))
	b.open("http://" + address)
	for answer, state := range map[string]string{
		`{"at": "2026-03-01T12:00:00Z", "status": {}}`: "The page cannot show the daemon's answer, reload the page (",
		`{"at": "2026-`: "No answer since ",
	} {
		broken.Store(&answer)
		b.until(fmt.Sprintf(`document.getElementById("state").innerText.startsWith(%q)`, state))
		broken.Store(nil)
		b.until(`document.body.className === "" &&
			document.getElementById("state").innerText.startsWith("2 of 5 settings")`)
	}
	b.quiet()
}

// pageFollowsTheClock sets the host's clock back by an hour.
func pageFollowsTheClock(b *tab) {
	h := gateway()
	var back atomic.Bool
	handler := page.Handler(h)
	address, _ := serveAt(b.T, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		since, _ := time.Parse(time.RFC3339Nano, r.URL.Query().Get("since"))
		if r.URL.Path != "/v1/page" || !back.Load() {
			handler.ServeHTTP(w, r)
			return
		}
		now := time.Now().Add(-time.Hour)
		document, _ := h.Status(r.Context())
		events := []reconcile.Event{}
		_ = h.Events(r.Context(), since, false, func(e reconcile.Event) error {
			events = append(events, e)
			return nil
		})
		_ = json.NewEncoder(w).Encode(map[string]any{
			"at": now, "status": document, "forecasts": map[string]string{}, "events": events,
			"points": []table.Point{{At: now.Unix() - 5, Max: 1000, Entries: 990}},
		})
	}))
	b.open("http://" + address)
	back.Store(true)
	h.drift("hashsize", "16384", time.Now().Add(-61*time.Minute))
	b.until(`document.querySelectorAll("#history tbody tr").length === 8`)
	b.until(`document.getElementById("fill-text").innerText.startsWith("Connections at most 99 %")`)
	b.quiet()
}

// hostileValuesAreText puts hostile texts into every field of the daemon's answer.
func hostileValuesAreText(b *tab) {
	h := gateway()
	h.settings, h.events = nil, nil
	counters, helpers := map[string]uint64{}, map[string]int64{}
	var names []string
	var missing []map[string]string
	var refused []map[string]any
	for i, text := range hostile() {
		s := setting(text, text, text, reconcile.State(text), 1)
		s.Error, s.Origin, s.LastDrift.Found = text, tree.Place{File: text}, sysfs.TextValue(text)
		by := sysfs.Writer{PID: i + 1, Comm: text, Unit: "u" + text, Container: "c" + text, Pod: "p" + text}
		s.LastDrift.By = &by
		h.settings = append(h.settings, s)
		e := reconcile.Event{Kind: reconcile.Kind(text), Setting: text, Message: text}
		e.At = time.Now().Add(-time.Duration(i) * time.Second)
		e.Result, e.By = reconcile.Result(text), &sysfs.Writer{Unit: "u" + text}
		names = append(names, text)
		missing = append(missing, map[string]string{"what": text, "why": text + "w", "hint": text})
		refused = append(refused, refusal(text, 1, text, by))
		h.events = append(h.events, e)
		counters[text], helpers[text] = 7, 3
	}
	h.refused = strings.Join(hostile(), "\n")
	h.guard = map[string]any{
		"mode": "lock", "state": hostile()[0], "error": hostile()[1], "note": hostile()[2], "names": names,
		"allow": names[:8], "missing": missing, "refused": refused,
	}
	h.figures["counters"], h.figures["expectations_by_helper"] = counters, helpers
	address, _ := serveAt(b.T, "", page.Handler(h))
	b.open("http://" + address)

	for _, text := range hostile() {
		for _, place := range []string{
			"#settings tbody", "#settings tbody tr > :nth-child(2) .note",
			"#settings tbody tr > :nth-child(4)", "#settings tbody tr > :nth-child(7)",
			"#history tbody", "#history tbody tr > :nth-child(2)", "#history tbody tr > :nth-child(4)",
			"#counters tbody", "#expectation-facts", "#filter", "#refusal",
			"#settings tbody tr > :nth-child(6) .note", "#history tbody tr > :nth-child(4) .note", "#guard-facts",
			"#blocked tbody tr > :nth-child(1)", "#blocked tbody tr > :nth-child(4)",
			"#blocked tbody tr > :nth-child(5)",
		} {
			shown := min(len(text), 380) // some have a word before
			b.holds(fmt.Sprintf(
				`[...document.querySelectorAll(%q)].some((n) => n.textContent.includes(%q))`, place, text[:shown],
			))
		}
	}
	b.holds(`document.scripts.length === 1 && document.images.length === 0`)
	b.holds(`document.querySelectorAll("svg").length === 2`)
	b.holds(`[...document.querySelectorAll("*")].every((n) => n.getAttributeNames().every((a) => !a.startsWith("on")))`)
	b.holds(`document.title.length < 300`)
	b.holds(`[...document.querySelectorAll("#counters tbody td:last-child")].every((n) => n.textContent === "")`)
	b.same("rows", len(hostile()), len(b.rows("settings")))
	fits(b, 1280)
	b.run(chromedp.EmulateViewport(360, 740))
	fits(b, 360)
	b.picture("hostile")
	// The choice stays, and is not used as markup either.
	b.run(chromedp.SetValue(chromedp.CSS("#filter"), hostile()[0]))
	b.run(chromedp.Click(chromedp.CSS("h1")))
	value[bool](b, `document.getElementById("filter").dispatchEvent(new Event("change"))`)
	b.until(`document.querySelectorAll("#history tbody tr").length === 1`)
	b.quiet()
}

// fits checks that nothing makes the page wider than the window.
func fits(b *tab, width int) {
	b.Helper()
	b.same("width of the page", width, value[int](b,
		`Math.max(document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth)`))
	b.same("elements beyond the window", []string{}, value[[]string](b, fmt.Sprintf(
		`[...document.querySelectorAll("main *, header *")]
			.filter((n) => n.getBoundingClientRect().right > %d && !n.closest("thead"))
			.map((n) => n.outerHTML.slice(0, 80))`,
		width,
	)))
}

func pageFitsAPhone(b *tab) {
	h := gateway()
	h.refused = "/etc/ctkeeper/conf.d/50-gateway.yaml:3:10: settings.max: " +
		"1x is not a number (a whole number, or auto)\n" +
		"/etc/ctkeeper/conf.d/50-gateway.yaml:4:3: settings.hashsiz: no such setting (did you mean hashsize?)"
	address, _ := serveAt(b.T, "", page.Handler(h))
	b.run(chromedp.EmulateViewport(360, 740))
	b.open("http://" + address)
	fits(b, 360)
	// Each value is beside its label.
	b.holds(`getComputedStyle(document.querySelector("#settings tbody td"), "::before").content === '"State"'`)
	b.holds(`document.querySelector("#fill-plot").getBoundingClientRect().width > 280`)
	b.picture("phone")
	b.quiet()
}

// contrast returns every text whose contrast with its background is below 4.5 to 1
// (Web Content Accessibility Guidelines 2.2, 1.4.3).
const contrast = `(() => {
	const rgb = (text) => text.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
		.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (n) => {
		for (; n; n = n.parentElement) {
			const colour = rgb(getComputedStyle(n).backgroundColor);
			if (colour.length === 3 || colour[3] > 0) return colour;
		}
		return [255, 255, 255];
	};
	return [...document.querySelectorAll("body *")]
		.filter((n) => [...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim() !== ""))
		.filter((n) => n.getClientRects().length > 0)
		.map((n) => {
			const style = getComputedStyle(n);
			const text = rgb(n instanceof SVGElement ? style.fill : style.color);
			const [a, b] = [light(text), light(behind(n))].sort((x, y) => y - x);
			return [(a + 0.05) / (b + 0.05), n.outerHTML.slice(0, 80)];
		}).filter(([ratio]) => ratio < 4.5).map(([ratio, what]) => ratio.toFixed(2) + " " + what);
})()`

func pageCanBeRead(b *tab) {
	h := gateway()
	h.refused = "ctkeeper.yaml:3:8: settings.max: 1x is not a number"
	address, _ := serveAt(b.T, "", page.Handler(h))
	b.open("http://" + address)
	background := `getComputedStyle(document.body).backgroundColor`
	backgrounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		b.prefers(scheme)
		backgrounds[value[string](b, background)] = true
		b.same("too little contrast, "+scheme, []string{}, value[[]string](b, contrast))
	}
	b.same("backgrounds", 2, len(backgrounds))
	// The minimum for screen readers.
	b.holds(`document.documentElement.lang === "en"`)
	b.holds(`document.getElementById("state").getAttribute("aria-live") === "polite"`)
	b.holds(`[...document.querySelectorAll("thead th")].every((th) => th.scope === "col")`)
	b.holds(`[...document.querySelectorAll("tbody th")].every((th) => th.scope === "row")`)
	b.holds(`[...document.querySelectorAll("svg, section, table, [role=meter]")]
		.every((n) => n.hasAttribute("aria-labelledby") || n.id === "refused")`)
	b.holds(`[...document.querySelectorAll("[aria-labelledby]")]
		.every((n) => n.getAttribute("aria-labelledby").split(" ").every((id) => document.getElementById(id)))`)
	b.quiet()
}

// pageOfAnEmptyHost checks the page of a host without the module and without settings.
func pageOfAnEmptyHost(b *tab) {
	source := &host{
		pid:     1,
		figures: map[string]any{"entries": nil, "max": nil, "buckets": nil, "expectations": nil, "expect_max": nil},
	}
	address, _ := serveAt(b.T, "", page.Handler(source))
	b.open("http://" + address)
	for selector, want := range map[string]string{
		"#state":       "No settings are configured.",
		"#no-settings": "No settings are configured.",
		"#connections": "unknown",
		"#no-counters": "The counters cannot be read.",
		"#no-history":  "No events.",
		"#fill-text":   "No measurements in this range.",
	} {
		b.same(selector, want, words(b.text(selector)))
	}
	b.picture("empty")
	b.quiet()
}

// pageBehindAPassword checks the page behind a proxy with a path of its own, and with the password in the address.
func pageBehindAPassword(b *tab) {
	handler := http.StripPrefix("/hosts/one", page.Handler(gateway()))
	address, _ := serveAt(b.T, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	b.open("http://me:secret@" + address + "/hosts/one/")
	b.same("settings", 5, len(b.rows("settings")))
	b.quiet()
}
