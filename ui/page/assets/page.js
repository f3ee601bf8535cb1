// Fetches news from the daemon every two seconds and shows them. No text of the daemon is ever used as markup: all of
// it goes through setText. Words, shares and severities come from the answer; the page computes none.

import { byId, clock, duration, placeText, setText, showFacts, showTime, zone } from "./parts.js";
import { renderGuard } from "./guard.js";
import { listenToHistory, renderHistory } from "./history.js";
import { drawPlots, listenToPlots } from "./hours.js";
import { renderProblems, showState } from "./problems.js";
import { listenToSettings, renderSettings } from "./settings.js";
import { renderCounters, renderTables } from "./tables.js";

const interval = 2000; // ms from an answer to the next request
const timeout = 10000; // ms that an answer may take: the exporter waits up to 5 s for the daemon, and then answers
const overlap = 30000; // ms that are requested again: an event is published only at the end of its pass
const keepSeconds = 6 * 3600;
const keepEvents = 1024;

const seen = { at: 0, daemon: "", points: new Map(), events: new Map(), answered: null };
const view = { answer: null, now: 0 };

async function fetchNews() {
  const query = seen.at > 0 ? `?since=${encodeURIComponent(new Date(seen.at - overlap).toISOString())}` : "";
  // Without the password of the page's own address, if any: fetch refuses an address with one.
  const address = new URL(`v1/page${query}`, location.origin + location.pathname);
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(timeout) });
  if (answer.headers.get("Content-Type")?.startsWith("text/html")) throw new TypeError("a proxy answered");
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function run() {
  for (;;) {
    let answer = null;
    try {
      answer = await fetchNews();
    } catch (error) {
      showNoAnswer(error);
    }
    if (answer !== null) {
      try {
        addAnswer(answer);
        render();
      } catch (error) { // the daemon may have been upgraded since the page was loaded
        showState("critical", `The page cannot show the daemon's answer, reload the page (${error.message}).`);
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
  view.answer = answer;
  view.now = at / 1000;
  prune(view.now);
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

// showNoAnswer shows who does not answer. If the daemon does not, the exporter answers with the reason.
function showNoAnswer(error) {
  const isNetwork = error instanceof TypeError || error instanceof SyntaxError || error.name === "TimeoutError";
  const reason = isNetwork ? "" : ` (${error.message})`;
  const advice = isNetwork
    ? "Check the network, and see systemctl status ctkeeper-exporter"
    : "See systemctl status ctkeeper";
  if (seen.answered === null) {
    document.body.className = "waiting";
    showState("critical", `No answer${reason}. ${advice}.`);
    return;
  }
  document.body.className = "away";
  const ms = seen.answered.getTime();
  const since = `${clock(ms)} ${zone(ms)}, ${duration((Date.now() - ms) / 1000)} ago`;
  showState("critical", `No answer since ${since}${reason}; the values below are old. ${advice}.`);
}

function render() {
  const { answer } = view;
  const { status } = answer;
  document.body.className = "";
  renderHead(answer);
  renderProblems(status.problems ?? [], view.now);
  renderRefusal(status.daemon.config);
  renderTables(answer);
  renderCounters(answer);
  renderSettings(answer);
  renderEvents();
  renderGuard(answer);
  renderDaemon(answer);
  drawPlots([...seen.points.values()], view.now, [...seen.events.values()], answer);
}

const renderEvents = () =>
  renderHistory([...seen.events], (view.answer.status.settings ?? []).map((s) => s.setting));

// renderHead shows the state, and which ctkeeper on which host that is.
function renderHead({ status: { daemon, headline }, host, severity, metrics }) {
  const up = daemon.since ? `up ${duration(view.now - Date.parse(daemon.since) / 1000)}` : "";
  const name = ["ctkeeper", daemon.version].filter(Boolean).join(" ");
  const about = [name, `mode ${daemon.mode}`, up].filter(Boolean).join(", ");
  showState(severity, `${headline}.`, { before: host ? `${host}: ` : "", after: ` – ${about}` });
  setText(byId("host"), host || "ctkeeper");
  setText(byId("about"), about);
  showTime(byId("answered"), seen.answered.toISOString());
  byId("metrics").href = metrics;
}

// renderRefusal shows all errors of a refused configuration; the list of problems has only the first.
function renderRefusal(config) {
  const errors = config.error.slice(0, 20000);
  byId("refused").hidden = config.ok || !errors.trim().includes("\n");
  if (byId("refusal").textContent !== errors) byId("refusal").textContent = errors; // whole, unlike setText
}

function renderDaemon({ status: { daemon, module }, not_watched: notWatched }) {
  const parameters = (module.parameters ?? []).map((p) => {
    const live = p.live === "" ? "" : `, live ${p.live}`;
    const state = p.error ? `${p.state}, ${p.error}` : p.state;
    return [`Parameter ${p.name}`, `want ${p.want}${live}: ${state} (${placeText(p.origin)})`];
  });
  showFacts(byId("daemon"), [
    ["Module", `${module.name} ${module.state}`],
    ["Loads seen", `${module.loads} since the daemon’s start`],
    ["Process", daemon.pid ? `pid ${daemon.pid}` : ""],
    ["Running since", daemon.since ? (node) => showTime(node, daemon.since) : ""],
    ["Configuration", (daemon.config.files ?? []).join(", ") || "embedded default"],
    ...parameters,
    ["Not watched", (notWatched ?? []).join("; ")],
  ]);
}

listenToHistory(() => view.answer && renderEvents());
listenToSettings(() => view.answer && renderSettings(view.answer));
listenToPlots();
run();
