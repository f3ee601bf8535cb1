package page_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	address, stop := serveAt(b.T, "", page.Handler(h, "/metrics"))
	b.open("http://" + address)
	before := b.rows("history")
	stop()
	b.until(`document.body.className === "away"`)
	state := b.text("#state")
	const old = " ago; the values below are old. Check "
	if !strings.HasPrefix(state, "No answer since ") || !strings.Contains(state, old) {
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
	serveAt(b.T, address, page.Handler(next, "/metrics"))
	b.until(`document.body.className === "" && document.querySelectorAll("#history tbody tr").length === 8`)
	rows := b.rows("history")
	b.same("history of both", before, rows[:len(before)])
	if !strings.HasSuffix(rows[7], "| hashsize was 16384, wanted 1048576: repaired in 1ms (cause: write)") {
		b.Errorf("the event of the time away is %q", rows[7])
	}
	b.holds(`document.getElementById("state").innerText.startsWith("The kernel drops new connections")`)
	b.holds(`document.getElementById("daemon").innerText.includes("4712")`)
	// The older points are still plotted.
	b.holds(`document.querySelector("#plot .line.connections").getAttribute("d").length > 100`)
	b.quiet(unreachable)
}

// pageSurvivesAnswers sends answers that the page cannot read.
func pageSurvivesAnswers(b *tab) {
	handler := page.Handler(gateway(), "/metrics")
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
			document.getElementById("state").innerText.startsWith("The kernel drops new connections")`)
	}
	b.quiet()
}

// pageSaysWhoIsAway asks a proxy whose exporter does not answer, and then an exporter whose daemon does not, from the
// beginning and later.
func pageSaysWhoIsAway(b *tab) {
	handler := page.Handler(gateway(), "/metrics")
	var isAway, isProxy atomic.Bool
	isAway.Store(true)
	isProxy.Store(true)
	const reason = "cannot ask the daemon: dial unix /run/ctkeeper/ctkeeper.sock: no such file"
	address, _ := serveAt(b.T, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/page" && isProxy.Load():
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			return
		case r.URL.Path == "/v1/page" && isAway.Load():
			http.Error(w, reason, http.StatusBadGateway)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	b.run(chromedp.Navigate("http://" + address))
	b.until(`document.getElementById("state").innerText ===
		"No answer. Check the network, and see systemctl status ctkeeper-exporter."`)
	isProxy.Store(false)
	b.until(`document.getElementById("state").innerText ===
		"No answer (` + reason + `). See systemctl status ctkeeper."`)
	b.holds(`document.body.className === "waiting"`)
	isAway.Store(false)
	b.until(`document.body.className === ""`)
	isAway.Store(true)
	b.until(`document.body.className === "away"`)
	b.picture("away")
	if state := b.text("#state"); !strings.HasPrefix(state, "No answer since ") ||
		!strings.HasSuffix(state, " ("+reason+"); the values below are old. See systemctl status ctkeeper.") {
		b.Errorf("without the daemon the page shows %q", state)
	}
	b.quiet("502 (Bad Gateway)")
}

// choicesStay makes every choice and reloads the page.
func choicesStay(b *tab) {
	address, _ := serveAt(b.T, "", page.Handler(crowded(), "/metrics"))
	b.open("http://" + address)
	b.same("settings not as wanted", 2, len(b.rows("settings")))
	b.same("events at first", "15 of 1024 events", b.text("#shown"))
	b.run(chromedp.Click(chromedp.CSS("#more")))
	b.same("more events", "115 of 1024 events", b.text("#shown"))
	b.run(chromedp.Click(chromedp.CSS(`#ranges button[data-seconds="900"]`)))
	b.run(chromedp.Click(chromedp.CSS(`#which-settings button[data-which="all"]`)))
	for id, choice := range map[string]string{
		"filter-setting": "net.netfilter.nf_conntrack_key_007", "filter-kind": "drift",
	} {
		b.run(chromedp.SetValue(chromedp.CSS("#"+id), choice))
		value[bool](b, `document.getElementById("`+id+`").dispatchEvent(new Event("change"))`)
	}
	for range 2 {
		b.same("events of the setting", "6 of 6 events", b.text("#shown"))
		b.same("all settings", 200, len(b.rows("settings")))
		want := []string{"15 min", "All (200)", "net.netfilter.nf_conntrack_key_007", "drift"}
		b.same("chosen", want, value[[]string](b,
			`[...document.querySelectorAll("[aria-pressed=true], select")].map((n) => n.value || n.textContent)`))
		b.run(chromedp.Reload())
		b.until(`document.body.className === ""`)
	}
	b.quiet()
}

// pageFollowsTheClock sets the host's clock back by an hour.
func pageFollowsTheClock(b *tab) {
	h := gateway()
	var back atomic.Bool
	handler := page.Handler(h, "/metrics")
	address, _ := serveAt(b.T, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/page" || !back.Load() {
			handler.ServeHTTP(w, r)
			return
		}
		rest := httptest.NewRecorder()
		handler.ServeHTTP(rest, r)
		var answer map[string]any
		_ = json.Unmarshal(rest.Body.Bytes(), &answer)
		now := time.Now().Add(-time.Hour)
		answer["at"] = now
		answer["points"] = []table.Point{{At: now.Unix() - 5, Max: 1000, Entries: 990}}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	b.open("http://" + address)
	back.Store(true)
	h.drift("hashsize", "16384", time.Now().Add(-61*time.Minute))
	b.until(`document.querySelectorAll("#history tbody tr").length === 8`)
	b.until(`document.getElementById("plot-text").innerText.startsWith("At most 990 of 1000 connections")`)
	b.quiet()
}

// hostileHost has hostile texts in every field of the daemon's answer.
func hostileHost() *host {
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
		bad := s
		bad.Name, bad.State = "x"+text, reconcile.Failed
		h.settings = append(h.settings, s, bad)
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
	return h
}

// hostileValuesAreText checks that hostile texts are shown as they are, and never used as markup.
func hostileValuesAreText(b *tab) {
	address, _ := serveAt(b.T, "", page.Handler(hostileHost(), "/metrics"))
	b.open("http://" + address)

	for _, text := range hostile() {
		for _, place := range []string{
			"#settings tbody", "#settings .error", "#settings tbody tr > :nth-child(2)",
			"#settings tbody tr > :nth-child(4)", "#settings tbody tr > :nth-child(6)",
			"#history tbody", "#history tbody tr > :nth-child(2)", "#history tbody tr > :nth-child(3)",
			"#counters tbody", "#expectation-facts", "#filter-setting", "#filter-kind", "#refusal",
			"#settings .details", "#history tbody tr > :nth-child(3) .note", "#guard-facts",
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
	b.holds(`document.querySelectorAll("svg").length === 1`)
	b.holds(`[...document.querySelectorAll("*")].every((n) => n.getAttributeNames().every((a) => !a.startsWith("on")))`)
	b.holds(`document.title.length < 400`)
	b.holds(`!/object Object|native code/.test(document.body.innerText)`) // values of the prototype
	b.holds(`[...document.querySelectorAll("#counters tbody td:last-child")].every((n) => n.textContent === "")`)
	b.same("rows", 2*len(hostile()), len(b.rows("settings")))
	b.holds(`document.getElementById("problem-list").textContent
		.includes('x<img src=x onerror="alert(2)">: <img src=x')`)
	// The choice stays, also over a reload, and is not used as markup either.
	b.run(chromedp.SetValue(chromedp.CSS("#filter-setting"), hostile()[0]))
	value[bool](b, `document.getElementById("filter-setting").dispatchEvent(new Event("change"))`)
	b.until(`document.querySelectorAll("#history tbody tr").length === 1`)
	b.run(chromedp.Reload())
	b.until(`document.querySelectorAll("#history tbody tr").length === 1`)
	b.same("the filter", hostile()[0], value[string](b, `document.getElementById("filter-setting").value`))
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

// pageIsCardsOnAPhone checks that each value is beside its label.
func pageIsCardsOnAPhone(b *tab) {
	address, _ := serveAt(b.T, "", page.Handler(onFire(), "/metrics"))
	b.run(chromedp.EmulateViewport(360, 740))
	b.open("http://" + address)
	fits(b, 360)
	b.holds(`getComputedStyle(document.querySelector("#settings tbody td"), "::before").content === '"State"'`)
	b.holds(`document.querySelector("#plot svg").getBoundingClientRect().width > 280`)
	b.holds(`document.getElementById("connections").getBoundingClientRect().bottom < 740`) // without scrolling
	b.quiet()
}

// pageOfAnEmptyHost checks the page of a host without the module and without settings.
func pageOfAnEmptyHost(b *tab) {
	source := &host{
		pid:     1,
		figures: map[string]any{"entries": nil, "max": nil, "buckets": nil, "expectations": nil, "expect_max": nil},
	}
	address, _ := serveAt(b.T, "", page.Handler(source, "/metrics"))
	b.open("http://" + address)
	for selector, want := range map[string]string{
		"#state":         "No settings are configured.",
		"#severity":      "Good",
		"#settings-text": "no settings are configured",
		"#connections":   "unknown",
		"#no-losses":     "The counters cannot be read.",
		"#no-counters":   "The counters cannot be read.",
		"#no-history":    "No events.",
		"#plot-text":     "No measurements in this range.",
	} {
		b.same(selector, want, words(b.text(selector)))
	}
	b.picture("empty")
	b.quiet()
}

// pageBehindAPassword checks the page behind a proxy with a path of its own, and with the password in the address.
func pageBehindAPassword(b *tab) {
	handler := http.StripPrefix("/hosts/one", page.Handler(gateway(), "/metrics"))
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
	b.holds(`new URL(document.getElementById("metrics").href).pathname === "/hosts/one/metrics"`)
	b.quiet()
}
