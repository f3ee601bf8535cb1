// Fetches news from the daemon every two seconds and shows them. No text of the daemon is ever used as markup: all of
// it goes through setText.

import {
  badge, byId, cell, count, digits, element, makeRow, percent, setText, show, showFacts, showTime, showWithNote,
  syncChildren,
} from "./parts.js";
import { renderGuard, writerDetails, writerText } from "./guard.js";
import { drawPlots, listenToPlots } from "./hours.js";

const interval = 2000; // ms from an answer to the next request
const timeout = 5000; // ms that an answer may take
const overlap = 30000; // ms that are requested again: an event is published only at the end of its pass
const keepSeconds = 6 * 3600;
const keepEvents = 1024;
const maxRows = 200;

const seen = { at: 0, daemon: "", points: new Map(), events: new Map(), answered: null };
const view = { status: null, now: 0, sentence: "", host: "", counters: new Map() };

async function fetchNews() {
  const query = seen.at > 0 ? `?since=${encodeURIComponent(new Date(seen.at - overlap).toISOString())}` : "";
  // Without the password of the page's own address, if any: fetch refuses an address with one.
  const address = new URL(`v1/page${query}`, location.origin + location.pathname);
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(timeout) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

async function run() {
  for (;;) {
    let answer = null;
    try {
      answer = await fetchNews();
    } catch {
      showNoAnswer();
    }
    if (answer !== null) {
      try {
        addAnswer(answer);
        render();
      } catch (error) { // the daemon may have been upgraded since the page was loaded
        showState("bad", `The page cannot show the daemon's answer, reload the page (${error.message})`);
      }
    }
    await new Promise((wake) => setTimeout(wake, interval));
  }
}

// addAnswer adds an answer to what was seen. After a restart of the daemon, or if its clock went back, the next request
// is for everything; keys tell what was seen already.
function addAnswer(answer) {
  const at = Date.parse(answer.at);
  const daemon = `${answer.status.daemon.pid} ${answer.status.daemon.since}`;
  const restarted = seen.at > 0 && (daemon !== seen.daemon || at < seen.at - 1000);
  for (const point of answer.points ?? []) seen.points.set(point.at, point);
  for (const event of answer.events ?? []) seen.events.set(keyOf(event), event);
  seen.at = restarted ? 0 : at;
  seen.daemon = daemon;
  seen.answered = new Date();
  prune(at / 1000);
  view.status = answer.status;
  view.forecasts = answer.forecasts;
  view.host = answer.host;
  view.counters = new Map((answer.counters ?? []).map((c) => [c.name, c]));
  view.now = at / 1000;
}

function prune(now) {
  for (const at of seen.points.keys()) {
    if (at < now - keepSeconds || at > now + 2) seen.points.delete(at);
  }
  seen.points = new Map([...seen.points].sort((a, b) => a[0] - b[0]));
  const newest = [...seen.events].sort((a, b) => timeOf(b[1]) - timeOf(a[1]));
  seen.events = new Map(newest.slice(0, keepEvents));
}

const timeOf = (event) => Date.parse(event.at);

// The key has no zone: after a restart the daemon may write the same time in another one.
const keyOf = (e) => [timeOf(e), /\.\d+/.exec(e.at)?.[0], e.event, e.setting, e.message].join("\n");

function showNoAnswer() {
  if (seen.answered === null) {
    document.body.className = "waiting";
    showState("bad", "ctkeeper does not answer");
    return;
  }
  document.body.className = "away";
  const time = seen.answered.toLocaleTimeString(undefined, { hourCycle: "h23" });
  showState("bad", `No answer since ${time}; the values below are old`);
}

function render() {
  const { status } = view;
  document.body.className = "";
  setText(byId("host"), view.host);
  const answered = byId("answered");
  showTime(answered, seen.answered.toISOString());
  showState(...stateOf(status));
  renderProblems(status.problems ?? []);
  renderRefusal(status.daemon.config);
  renderSettings(status.settings ?? []);
  renderFill("connections", status.table.entries, status.table.max, status.table, view.forecasts);
  renderFill("expectations", status.table.expectations, status.table.expect_max, status.table, view.forecasts);
  renderTableFacts(status.table);
  renderCounters(status.table);
  renderHistory();
  renderGuard(status);
  renderDaemon(status);
  drawPlots([...seen.points.values()], view.now);
}

// Without a prototype: a name from the daemon may be "constructor".
const colours = {
  __proto__: null, "in-sync": "good", drifted: "bad", pending: "warn", contested: "bad", unsupported: "dim",
  forbidden: "bad", failed: "bad", reload: "warn", unknown: "dim",
};

const severities = { __proto__: null, critical: "bad", warning: "warn" };

// stateOf returns a colour and a sentence on the whole state.
function stateOf({ headline, problems }) {
  const found = (problems ?? []).map((p) => severities[p.severity] ?? "bad");
  return [["bad", "warn"].find((c) => found.includes(c)) ?? "good", headline];
}

// renderProblems lists what is wrong, each with since when, by whom, and what to do. One problem alone is in the
// headline, and is listed for the rest.
function renderProblems(problems) {
  show(byId("problems"), problems.length > 0);
  const make = () => {
    const item = element("li");
    item.append(element("span"), element("p"), element("p", "quiet"));
    return item;
  };
  const key = (p) => [p.severity, p.about, p.docs ? p.docs : p.text].join("\n");
  syncChildren(byId("problem-list"), problems, key, make, (item, p) => {
    const [severity, text, more] = item.children;
    badge(severity, severities[p.severity] ?? "bad", p.severity);
    setText(text, `${p.text}.`);
    if (more.children.length === 0) more.append(element("span"), element("span"), element("a", "", "More"));
    const [since, rest, link] = more.children;
    if (p.since) showTime(since, p.since, "Since ");
    setText(rest, [p.by ? `By ${p.by}.` : "", p.do ? `${p.do[0].toUpperCase()}${p.do.slice(1)}.` : ""].join(" "));
    show(link, Boolean(p.docs));
    if (p.docs) link.href = p.docs;
  });
}

function showState(colour, sentence) {
  if (view.sentence === `${colour} ${sentence}`) return;
  view.sentence = `${colour} ${sentence}`;
  const line = byId("state");
  line.className = `state ${colour}`;
  setText(line, `${sentence}.`);
  document.title = `${view.host ? `${view.host}: ` : ""}${sentence.slice(0, 200)} – ctkeeper`;
  byId("icon").href = dot(getComputedStyle(line).getPropertyValue("--colour"));
}

// dot draws the icon of the tab.
function dot(colour) {
  const canvas = element("canvas");
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour;
  pen.arc(16, 16, 13, 0, 2 * Math.PI);
  pen.fill();
  return canvas.toDataURL();
}

function renderRefusal(config) {
  show(byId("refused"), !config.ok);
  const text = config.error.slice(0, 20000);
  if (byId("refusal").textContent !== text) byId("refusal").textContent = text; // whole, unlike setText
}

const settingColumns = [
  { label: "Setting", className: "name" }, { label: "State" }, { label: "Want", className: "number" },
  { label: "Live", className: "number" }, { label: "Drifts", className: "number" }, { label: "Last drift" },
  { label: "From", className: "path" },
];
const milliseconds = (seconds) => Number((seconds * 1000).toPrecision(3));
const repairText = ({ repaired_seconds: seconds }) =>
  seconds ? `repaired in ${milliseconds(seconds)}ms` : "not repaired";
const placeText = ({ file, line }) => (line ? `${file}:${line}` : file);
const policies = { __proto__: null, at_least: "at least ", at_most: "at most " };

function renderSettings(settings) {
  show(byId("settings"), settings.length > 0);
  show(byId("no-settings"), settings.length === 0);
  syncChildren(byId("settings").tBodies[0], settings, (s) => s.setting, () => makeRow(settingColumns), (tr, s) => {
    setText(cell(tr, 0), s.setting);
    showWithNote(cell(tr, 1), (node) => badge(node, colours[s.state] ?? "bad", s.state), s.error);
    setText(cell(tr, 2), (policies[s.policy] ?? "") + s.want);
    setText(cell(tr, 3), s.live ?? "–");
    setText(cell(tr, 4), count(s.drifts));
    const drift = s.last_drift;
    const cause = drift?.by ? `${drift.cause} by ${writerText(drift.by)}` : drift?.cause;
    const note = drift ? [`found ${drift.found}`, cause, repairText(drift)].join(", ") : "";
    showWithNote(cell(tr, 5), (node) => (drift ? showTime(node, drift.at) : setText(node, "–")), note);
    setText(cell(tr, 6), placeText(s.origin));
  });
}

// fillTexts renders the fill of a table: in large type, and in small.
function fillTexts(used, limit) {
  if (typeof used !== "number") return ["unknown", typeof limit === "number" ? `limit ${count(limit)}` : ""];
  if (!(limit > 0)) return [count(used), limit === 0 ? "no limit" : ""];
  return [percent(used, limit), `${count(used)} of ${count(limit)}`];
}

// renderFill shows the fill of a table.
function renderFill(name, used, limit, table, forecasts) {
  const box = byId(name);
  if (box.children.length === 0) {
    const bar = element("div", "bar");
    bar.setAttribute("role", "meter");
    bar.setAttribute("aria-labelledby", `${name}-title`);
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    bar.append(element("div"));
    box.append(element("p", "sum"), bar, element("p", "note"));
  }
  const [sum, bar, note] = box.children;
  const part = limit > 0 && typeof used === "number" ? (100 * used) / limit : 0;
  const [large, small] = fillTexts(used, limit);
  if (sum.children.length === 0) sum.append(element("strong"), element("span"));
  setText(sum.firstElementChild, large);
  setText(sum.lastElementChild, small);
  const { level = "normal", loss } = table.conditions?.[name] ?? {};
  bar.className = `bar ${levels[level] ?? "bad"}`;
  show(bar.firstElementChild, part > 0);
  bar.firstElementChild.style.width = `${Math.min(100, part)}%`; // through the CSSOM, which the policy allows
  bar.setAttribute("aria-valuenow", Math.round(Math.min(100, part)));
  bar.setAttribute("aria-valuetext", `${large} ${small}`);
  const notes = [level === "normal" ? "" : level];
  if (loss) notes.push(loss);
  if (forecasts?.[name]) notes.push(forecasts[name]);
  setText(note, notes.filter((n) => n !== "").join(", "));
}

function renderTableFacts(table) {
  const rate = table.rates?.entries;
  const logged = (kind) => (table.kernel_messages?.[kind] > 0 ? count(table.kernel_messages[kind]) : "");
  showFacts(byId("connection-facts"), [
    ["Buckets", count(table.buckets)],
    ["Connections a bucket", typeof table.load_factor === "number" ? digits(table.load_factor) : ""],
    ["Change", typeof rate === "number" ? `${rate > 0 ? "+" : ""}${digits(rate)} a second` : ""],
    ["“Table full” in the kernel’s log", logged("table-full")],
  ]);
  const helpers = Object.entries(table.expectations_by_helper ?? {}).sort((a, b) => b[1] - a[1]);
  showFacts(byId("expectation-facts"), [
    ...helpers.slice(0, 20).map(([helper, n]) => [helper === "" ? "(no helper)" : helper, count(n)]),
    ["“Expectation table full” in the kernel’s log", logged("expectation-table-full")],
  ]);
}

const counterColumns = [
  { label: "Counter", className: "name" }, { label: "Count", className: "number" },
  { label: "A second", className: "number" }, { label: "What it counts", className: "quiet" },
];

function renderCounters({ counters, rates }) {
  const order = [...view.counters.keys()];
  const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  const known = Object.entries(counters ?? {});
  const list = known.filter(([name, n]) => n > 0 && name !== "entries")
    .sort((a, b) => place(a[0]) - place(b[0]) || (a[0] < b[0] ? -1 : 1));
  show(byId("counters"), list.length > 0);
  show(byId("no-counters"), list.length === 0);
  setText(byId("no-counters"), known.length > 0 ? "Every counter is zero." : "The counters cannot be read.");
  syncChildren(byId("counters").tBodies[0], list, ([name]) => name, () => makeRow(counterColumns), (tr, [name, n]) => {
    setText(cell(tr, 0), name);
    setText(cell(tr, 1), count(n));
    setText(cell(tr, 2), typeof rates?.[name] === "number" ? digits(rates[name]) : "–");
    setText(cell(tr, 3), view.counters.get(name)?.meaning ?? "");
  });
}

const eventColumns = [
  { label: "Time", className: "time" }, { label: "Event" }, { label: "Setting", className: "name" },
  { label: "What happened" },
];
const results = { __proto__: null, repaired: "good", observed: "warn", failed: "bad" };
const kinds = {
  __proto__: null, contested: "bad", failed: "bad", forbidden: "bad", "config-refused": "warn",
  "refused-write": "warn", "absorbed-write": "warn", settled: "good",
};
const levels = { __proto__: null, normal: "good", high: "warn", critical: "bad" };
const colourOf = (e) => (e.loss ? "bad" : results[e.result] ?? levels[e.level] ?? kinds[e.event] ?? "dim");
const settingsOf = (event) => (event.setting ? [event.setting] : event.settings ?? []);

function renderHistory() {
  const filter = byId("filter");
  const names = new Set((view.status.settings ?? []).map((s) => s.setting));
  for (const event of seen.events.values()) settingsOf(event).forEach((name) => names.add(name));
  if (filter.value !== "") names.add(filter.value); // the choice stays
  const option = (name) => {
    const node = element("option", "", name === "" ? "all" : name);
    node.value = name;
    return node;
  };
  if (filter.firstElementChild.itemKey === undefined) filter.firstElementChild.itemKey = "";
  syncChildren(filter, ["", ...[...names].sort()], (name) => name, option, () => {});

  const isShown = (e) => filter.value === "" || settingsOf(e).includes(filter.value);
  const events = [...seen.events].filter(([, e]) => isShown(e)).slice(0, maxRows);
  show(byId("history"), events.length > 0);
  show(byId("no-history"), events.length === 0);
  syncChildren(byId("history").tBodies[0], events, ([key]) => key, () => makeRow(eventColumns), (tr, [, e]) => {
    showTime(cell(tr, 0), e.at);
    badge(cell(tr, 1), colourOf(e), e.result && e.event === "drift" ? `${e.event}, ${e.result}` : e.event);
    setText(cell(tr, 2), settingsOf(e).join(", "));
    showWithNote(cell(tr, 3), (node) => setText(node, e.message), writerDetails(e.by, e.message));
  });
}

// sourceText is that of Daemon.SourcesDown in the package status.
function sourceText({ name, error, hint }) {
  const what = { uevent: "module loads", inotify: "writes", config: "configuration changes" };
  return `${what[name] ?? name}: ${error}${hint ? `; ${hint}` : ""}`;
}

function renderDaemon({ daemon, module }) {
  const parameters = (module.parameters ?? []).map((p) => {
    const live = p.live === "" ? "" : `, live ${p.live}`;
    const state = p.error ? `${p.state}, ${p.error}` : p.state;
    return [`Parameter ${p.name}`, `want ${p.want}${live}: ${state} (${placeText(p.origin)})`];
  });
  showFacts(byId("daemon"), [
    ["Module", `${module.name} ${module.state}`],
    ["Loads seen", count(module.loads)],
    ...parameters,
    ["Mode", daemon.mode],
    ["Version", daemon.version ?? ""],
    ["Process", daemon.pid ? String(daemon.pid) : ""],
    ["Running since", daemon.since ? (node) => showTime(node, daemon.since) : ""],
    ["Configuration", (daemon.config.files ?? []).join(", ") || "embedded default"],
    ...(daemon.sources ?? []).filter((s) => !s.ok).map((s) => ["Not watched", sourceText(s)]),
  ]);
}

byId("filter").addEventListener("change", () => view.status && renderHistory());
listenToPlots();
run();
