package page_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ctkeeper/ctkeeper/ui/page"
)

// TestAccessibility checks what a machine can check of the Web Content Accessibility Guidelines 2.2, levels A and AA,
// as axe does. The page is judged by what Chromium hands to a screen reader. With TestPictures, which checks the
// contrast of every text, it covers:
//
//   - names of controls, tables, regions, meters and links; order of headings; header cells (1.3.1, 2.4.6, 4.1.2)
//   - language, title, references between elements, ids that are there once (3.1.1, 2.4.2)
//   - keys: each control is reached by Tab, in the order of the page, and its focus is visible (2.1.1, 2.4.3, 2.4.7)
//   - the size of controls (2.5.8), the contrast of lines and marks (1.4.11), a width of 320 pixels (1.4.10)
//   - changes of the state are announced, and only they are (4.1.3)
func TestAccessibility(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for name, h := range map[string]*host{"healthy": healthy(), "fire": onFire(), "crowd": crowded()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := serveAt(t, "", page.Handler(h, "/metrics"))
			b := openTab(t, browser, 1280, 800)
			b.open("http://" + address)
			b.namesAreKnown()
			b.same("faults", []string{}, value[[]string](b, faults))
			for _, scheme := range []string{"light", "dark"} {
				b.prefers(scheme)
				b.same("too little contrast of a line or mark, "+scheme, []string{}, value[[]string](b, lineContrast))
			}
			b.keysReachEverything()
			b.run(chromedp.EmulateViewport(320, 640))
			fits(b, 320)
			b.same("faults on a phone", []string{}, value[[]string](b, faults))
			b.quiet()
		})
	}
}

// namesAreKnown checks the tree that a screen reader gets.
func (b *tab) namesAreKnown() {
	b.Helper()
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		b.Fatal(err)
	}
	needName := []string{
		"button", "combobox", "slider", "link", "table", "meter", "region", "navigation", "heading", "group",
		"columnheader", "rowheader", "image",
	}
	seen := map[string]int{}
	level := 0.0
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role, name := text(node.Role), text(node.Name)
		seen[role]++
		if slices.Contains(needName, role) && strings.TrimSpace(name) == "" {
			b.Errorf("a %s has no name: %+v", role, node)
		}
		for _, p := range node.Properties {
			if role != "heading" || p.Name != "level" {
				continue
			}
			var next float64
			_ = json.Unmarshal(p.Value.Value, &next)
			if next > level+1 {
				b.Errorf("heading %q of level %v follows one of level %v", name, next, level)
			}
			level = next
		}
	}
	want := []string{
		"heading", "status", "table", "row", "columnheader", "rowheader", "cell", "meter", "slider", "button",
		"combobox", "link", "navigation", "region", "main", "banner", "contentinfo",
	}
	for _, role := range want {
		if seen[role] == 0 {
			b.Errorf("a screen reader gets no %s: %v", role, seen)
		}
	}
	b.same("live regions", 1, seen["status"]+seen["alert"]+seen["log"])
}

// text returns a value that is a text; "" for none.
func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var s string
	_ = json.Unmarshal(v.Value, &s)
	return s
}

// controls are the elements that keys have to reach.
const controls = `[...document.querySelectorAll("a[href], button, select, [tabindex='0']")]
	.filter((n) => n.checkVisibility())`

// keysReachEverything presses Tab until the focus leaves the page.
func (b *tab) keysReachEverything() {
	b.Helper()
	value[bool](b, `(window.reached = [], window.unseen = [], document.activeElement.blur(), scrollTo(0, 0), true)`)
	want := value[int](b, controls+`.length`)
	for range want {
		b.run(chromedp.KeyEvent(kb.Tab))
		value[bool](b, `(() => {
			const n = document.activeElement, style = getComputedStyle(n), box = n.getBoundingClientRect();
			reached.push(n);
			const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 &&
				box.bottom > 0 && box.top < innerHeight;
			if (!isSeen) unseen.push(n.outerHTML.slice(0, 80));
			return true;
		})()`)
	}
	b.same("controls that Tab does not reach", []string{}, value[[]string](b, controls+`
		.filter((n) => !reached.includes(n)).map((n) => n.outerHTML.slice(0, 80))`))
	b.same("focus that is not visible", []string{}, value[[]string](b, `unseen`))
	b.holds(`reached.every((n, i) => i === 0 || reached[i - 1].compareDocumentPosition(n) & 4)`)
}

// faults returns what is wrong in the document.
var faults = fmt.Sprintf(`(() => {
	const found = [], say = (what, n) => found.push(what + ": " + n.outerHTML.slice(0, 100));
	if (document.documentElement.lang !== "en" || document.title === "") found.push("language or title");
	const ids = [...document.querySelectorAll("[id]")].map((n) => n.id);
	if (new Set(ids).size < ids.length) found.push("an id twice");
	for (const name of ["aria-labelledby", "aria-describedby"]) {
		for (const n of document.querySelectorAll("[" + name + "]")) {
			if (!n.getAttribute(name).split(" ").every((id) => document.getElementById(id))) say("reference", n);
		}
	}
	for (const n of %s) {
		const box = n.getBoundingClientRect();
		if (box.width < 24 || box.height < 23.5) say("smaller than 24 pixels", n);
	}
	for (const table of document.querySelectorAll("table")) {
		const columns = table.tHead.rows[0].cells.length;
		for (const th of table.tHead.rows[0].cells) if (th.scope !== "col" || th.textContent === "") say("column", th);
		for (const tr of table.tBodies[0].rows) {
			if (tr.cells.length !== columns || tr.cells[0].scope !== "row") say("row", tr);
		}
	}
	for (const n of document.querySelectorAll("dl")) {
		if (![...n.children].every((c) => c.matches("div:has(> dt + dd:last-child)"))) say("list", n);
	}
	return found;
})()`, controls)

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

// lineContrast returns each kind of line, bar and mark whose contrast with the card is below 3 to 1 (1.4.11).
const lineContrast = `(() => {
	const card = getComputedStyle(document.querySelector("section.card")).backgroundColor;
	const light = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255)
		.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const ratio = (colour) => {
		const [a, b] = [light(colour), light(card)].sort((x, y) => y - x);
		return (a + 0.05) / (b + 0.05);
	};
	const found = new Set();
	for (const n of document.querySelectorAll(".line, .limit, .level, .column, .event, .bar > div, .key, .badge")) {
		const style = getComputedStyle(n), before = getComputedStyle(n, "::before");
		const colours = n.matches("svg *") ? [style.fill, style.stroke]
			: [style.backgroundColor, style.borderTopColor, before.backgroundColor, before.borderTopColor];
		const drawn = colours.filter((c) => c.startsWith("rgb(")).map(ratio);
		if (Math.max(...drawn) < 3) found.add(n.getAttribute("class") + " " + Math.max(...drawn).toFixed(2));
	}
	return [...found];
})()`
