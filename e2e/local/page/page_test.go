package page_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
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
		"hostile": hostileValuesAreText, "phone": pageIsCardsOnAPhone, "empty": pageOfAnEmptyHost,
		"answers": pageSurvivesAnswers, "password": pageBehindAPassword,
		"daemon": pageSaysWhoIsAway, "choices": choicesStay,
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

// at renders a time as the page does, with its zone.
func (b *tab) at(t time.Time) string {
	b.Helper()
	const show = `((ms) => { const t = new Date(ms), two = (n) => String(n).padStart(2, "0");
		const day = [t.getFullYear(), two(t.getMonth() + 1), two(t.getDate())].join("-") + " ";
		const zone = t.toLocaleTimeString("en", { timeZoneName: "short" }).split(" ").at(-1);
		return (t.toDateString() === new Date().toDateString() ? "" : day) + t.toTimeString().slice(0, 8) + " " + zone;
	})(%d)`
	return value[string](b, fmt.Sprintf(show, t.UnixMilli()))
}

func pageShowsTheValues(b *tab) {
	h := gateway()
	address, _ := serveAt(b.T, "", page.Handler(h, "/metrics"))
	b.open("http://" + address)

	last := "Last drift " + b.at(h.settings[1].LastDrift.At) + ": found 65536, module-load, repaired in 1.23 ms"
	fight := "Last drift " + b.at(h.settings[3].LastDrift.At) + ": found 65536, write by kube-proxy " +
		"(pid 2211, container 4f0c8a21bd03 of pod 1f0d2c6e-8a51-4c36-9a52-0d6f8e1b7a11), repaired in 1.23 ms"
	const origin = " | 50-gateway.yaml:3 | "
	b.same("settings", []string{ // the worst first
		"expect_max | failed | 0 expectations | 1024 expectations | 0" + origin + "invalid argument",
		"tcp_timeout_established | contested | 86400 s | 432000 s | 31" + origin + fight,
		"udp_timeout_stream | unsupported | 180 s | – | 0" + origin,
		"hashsize | in-sync | at least 262144 buckets | 262144 buckets | 0" + origin,
		"max | in-sync | 65536 connections | 65536 connections | 2" + origin + last,
	}, b.rows("settings"))
	document, _ := h.Status(b.Context())
	host, _ := os.Hostname()
	for selector, want := range map[string]string{
		"#state": document.Headline + ".",
		"#host":  host, "#about": "ctkeeper 1.2.3, mode enforce, up 1 d 2 h",
		"#connections": "86 % 56789 of 65536 connections high, dropping, full in about 6 min",
		"#connection-facts": "Hash table 262144 buckets Load 0.2 connections a bucket Change +43 a second " +
			"“Table full” in the kernel’s log 1291 times",
		"#expectations":      "1 % 12 of 1024 expectations",
		"#expectation-facts": "By sip 9 By ftp 3",
		"#settings-text":     status.SettingsText(document.Summary()),
		"#daemon": "Module nf_conntrack loaded Loads seen 3 since the daemon’s start Process pid 4711 Running since " +
			b.at(h.since) + " Configuration /etc/ctkeeper/ctkeeper.yaml, /etc/ctkeeper/conf.d/50-gateway.yaml " +
			"Parameter expect_hashsize want 2048, live 256: reload (/etc/ctkeeper/ctkeeper.yaml:9)",
	} {
		b.same(selector, want, words(b.text(selector)))
	}
	b.same("title", host+": "+document.Headline+". – ctkeeper 1.2.3, mode enforce, up 1 d 2 h",
		value[string](b, `document.title`))
	b.same("severity", string(document.Problems[0].Severity), value[string](b,
		`document.getElementById("severity").textContent`))
	meanings := map[string]string{}
	for _, c := range status.Counters() {
		meanings[c.Name] = c.Meaning
	}
	b.same("losses", []string{
		"dropped | 1291 | 12", "evicted | 40321 | 0.3", "refused for a long chain | 0 | –", "lost races | 7 | 0",
	}, b.rows("losses"))
	b.same("counters", []string{
		"dropped | drop | 1291 | 12 | " + meanings["drop"],
		"evicted | early_drop | 40321 | 0.3 | " + meanings["early_drop"],
		"lost races | insert_failed | 7 | 0 | " + meanings["insert_failed"],
		"found | found | 12 | – | ",
	}, b.rows("counters"))
	pageShowsProblems(b, document.Problems)
	pageShowsEvents(b, h)
	b.holds(`document.querySelector("#connections .bar").className === "bar critical"`)
	b.holds(`document.querySelector("#connections .bar").getAttribute("aria-valuenow") === "86"`)
	b.holds(`Math.abs(document.querySelector("#connections .bar div").offsetWidth /
		document.querySelector("#connections .bar").offsetWidth - 0.867) < 0.01`)
	b.holds(`document.getElementById("refused").hidden`)
	plotsAreDrawn(b, h)
	b.quiet()
}

// pageShowsProblems checks that each problem is shown with the words of the status: the first one below the headline.
func pageShowsProblems(b *tab, problems []status.Problem) {
	b.Helper()
	more := func(p status.Problem) string {
		text := ""
		if !p.Since.IsZero() {
			text += " Since " + b.at(p.Since)
		}
		if p.By != "" {
			text += " By " + p.By
		}
		if p.Do != "" {
			text += " Do " + p.Do
		}
		if p.Docs != "" {
			text += " More Troubleshooting: " + strings.Join(p.About, ", ")
		}
		return text
	}
	b.same("the worst problem", strings.TrimSpace(more(problems[0])), words(b.text("#worst")))
	var want []string
	for _, p := range problems[1:] {
		want = append(want, words(string(p.Severity)+" "+p.Text+"."+more(p)))
	}
	b.same("the other problems", want, value[[]string](b,
		`[...document.querySelectorAll("#problem-list li")].map((li) => li.innerText.replace(/\s+/g, " ").trim())`))
	b.same("address of the documentation", problems[0].Docs, value[string](b,
		`document.querySelector("#worst a").href`))
}

func pageShowsEvents(b *tab, h *host) {
	b.Helper()
	at := func(t time.Time) string {
		clock := b.at(t)
		return clock[:strings.LastIndex(clock, " ")] // the zone is in the column's name
	}
	newest := h.events[len(h.events)-1]
	rows := b.rows("history")
	b.same("newest event", at(newest.At)+" | drift, repaired | "+newest.Message, rows[0])
	b.same("number of events", len(h.events), len(rows))
	const pressure = " | table-pressure | the connection table is 84 % full, and packets are dropped"
	b.same("oldest event", at(h.events[0].At)+pressure, rows[len(rows)-1])
	b.holds(`document.querySelector("#history tbody tr:last-child .badge").className === "badge critical"`)
	zone := b.at(newest.At)
	zone = zone[strings.LastIndex(zone, " ")+1:]
	b.same("name of the column", "Time ("+zone+")", b.text("#history th"))
	title := value[string](b, `document.querySelector("#history tbody time").title`)
	b.same("its time", newest.At.Format(time.RFC3339Nano), title)
}

// plotsAreDrawn chooses the longest range, which holds the time without points, and moves the cursor by pointer and
// keys.
func plotsAreDrawn(b *tab, h *host) {
	b.Helper()
	moves := `document.querySelector("#plot .line.connections").getAttribute("d").split("M").length - 1`
	b.same("pieces of the line in the last hour", 1, value[int](b, moves))
	b.run(chromedp.Click(chromedp.CSS(`#ranges button[data-seconds="21600"]`)))
	b.holds(`document.querySelector("#ranges [aria-pressed=true]").textContent === "6 h"`)
	b.same("pieces of the line in six hours", 2, value[int](b, moves))
	lost := table.Losses{}
	for _, p := range h.points {
		lost.Dropped, lost.Evicted = lost.Dropped+p.Dropped, lost.Evicted+p.Evicted
	}
	sum := fmt.Sprintf("; %d dropped, %d evicted in this range.", lost.Dropped, lost.Evicted)
	if text := b.text("#plot-text"); !strings.HasPrefix(text, "At most ") || !strings.HasSuffix(text, sum) {
		b.Errorf("the text of the plot is %q, want at its end %q", text, sum)
	}
	names := value[[]string](b, `[...document.querySelectorAll("#plot text.tick")].map((n) => n.textContent)`)
	for _, want := range []string{
		"100 %", "80 %", fmt.Sprintf("dropped: %d", lost.Dropped),
		fmt.Sprintf("evicted: %d", lost.Evicted), "Settings: 6 events", "Table: 1 event",
	} {
		if !slices.Contains(names, want) {
			b.Errorf("the plot has no text %q: %q", want, names)
		}
	}
	edge := value[[]float64](b, `(() => {
		const svg = document.querySelector("#plot svg");
		svg.scrollIntoView();
		const box = svg.getBoundingClientRect();
		return [box.right - 10, box.top + 30];
	})()`)
	b.run(chromedp.MouseEvent(chromedp.MouseMoved, edge[0], edge[1]))
	last := h.points[len(h.points)-1]
	share, _ := status.Share(last.Entries, last.Max)
	b.until(fmt.Sprintf(`document.getElementById("plot-text").innerText.includes("%d of 65536 connections (%s)")`,
		last.Entries, share))
	b.holds(`document.querySelectorAll("#plot .cross.dot").length === 2`)
	cursorFollowsKeys(b)
}

func cursorFollowsKeys(b *tab) {
	b.Helper()
	at := func() float64 { return value[float64](b, `Number(document.getElementById("plot").ariaValueNow)`) }
	b.run(chromedp.MouseEvent(chromedp.MouseMoved, 0, 0), chromedp.Focus(chromedp.CSS("#plot")))
	b.run(chromedp.KeyEvent(kb.Home))
	b.same("the cursor at the beginning of the range", 6*3600.0, value[float64](b,
		`Number(document.getElementById("plot").ariaValueMax)`)-at())
	b.holds(`document.getElementById("plot").ariaValueText.includes(" of 65536 connections (")`)
	before := at()
	b.run(chromedp.KeyEvent(kb.ArrowRight))
	if moved := at() - before; moved <= 0 || moved > 900 {
		b.Errorf("an arrow moves the cursor by %v s", moved)
	}
	b.run(chromedp.KeyEvent(kb.End))
	for range 300 { // to the newest drift
		if strings.Contains(b.text("#plot-text"), "max was 65536, wanted 1048576") {
			break
		}
		b.run(chromedp.KeyEvent(kb.ArrowLeft))
	}
	b.holds(`document.getElementById("plot").ariaValueText.includes("max was 65536, wanted 1048576")`)
	b.run(chromedp.KeyEvent(kb.Escape))
	b.holds(`document.getElementById("plot-text").innerText.startsWith("At most ")`)
}

// pageUpdatesByItself changes the host while the page is open.
func pageUpdatesByItself(b *tab) {
	h := gateway()
	var mu sync.Mutex
	var requests []string
	handler := page.Handler(h, "/metrics")
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
	cells := strings.Split(b.rows("settings")[0], " | ")
	b.same("max", "max | drifted | 65536 connections | 4711 connections | 3", strings.Join(cells[:5], " | "))
	b.same("connections", "1 % 1000 of 65536 connections", words(b.text("#connections .sum")))
	refusal := value[string](b, `document.getElementById("problem-list").innerText`)
	if !strings.Contains(refusal, "settings.max: 1x is not a number.") {
		b.Errorf("the problems have no refused configuration: %s", refusal)
	}
	b.holds(`document.getElementById("refused").hidden`)
	h.change(func() { h.refused += "\nand another" })
	b.until(`!document.getElementById("refused").hidden`)
	b.same("every error", "Every error of the refused configuration "+
		"ctkeeper.yaml:3:8: settings.max: 1x is not a number and another", words(b.text("#refused")))
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
