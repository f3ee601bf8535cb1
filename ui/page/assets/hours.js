// The plots of the last hours: how full the tables were, and what was dropped.

import { byId, count, digits, hour, percent, say } from "./parts.js";
import { barWidth, cross, plot, roundUp, timeAt } from "./plot.js";

const shown = { seconds: 3600, points: [], now: 0, at: null };

// drawPlots shows points, oldest first, as they stand at a moment of the daemon's clock
// in seconds since the epoch.
export function drawPlots(points, now) {
  shown.points = points;
  shown.now = now;
  redraw();
}

// watchPlots lets people choose a range, and point at a time.
export function watchPlots() {
  const buttons = [...byId("ranges").children];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      shown.seconds = Number(button.dataset.seconds);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      redraw();
    });
  }
  for (const svg of [byId("fill-plot"), byId("drops-plot")]) {
    const point = (event) => {
      shown.at = timeAt(svg, event.clientX, shown.now - shown.seconds, shown.now);
      describe();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", () => {
      shown.at = null;
      describe();
    });
  }
  new ResizeObserver(redraw).observe(byId("fill-plot"));
}

const visible = () => shown.points.filter((p) => p.at >= shown.now - shown.seconds);
const share = (part, whole) => (whole > 0 ? (100 * part) / whole : null);
const connections = (p) => share(p.entries, p.max);
const expectations = (p) => share(p.expectations, p.expect_max);
const series = (points, value) => points.map((p) => ({ at: p.at, value: value(p) })).filter((p) => p.value !== null);
const highest = (list) => list.reduce((most, p) => (most === null || p.value > most.value ? p : most), null);

function redraw() {
  if (shown.now === 0) return;
  const points = visible();
  const range = { from: shown.now - shown.seconds, to: shown.now, gap: 3 * usualStep(points) };
  const lines = [
    { className: "expectations", points: series(points, expectations) },
    { className: "connections", points: series(points, connections) },
  ];
  const peak = Math.max(0, ...lines.map((line) => highest(line.points)?.value ?? 0));
  const top = peak > 50 || peak === 0 ? Math.max(100, roundUp(Math.max(peak, 1))) : roundUp(Math.max(peak * 1.1, 0.01));
  plot(byId("fill-plot"), { ...range, lines, top, marks: top === 100 ? [80, 95] : [] });

  const bars = gather(points, barWidth(byId("drops-plot"), shown.seconds));
  plot(byId("drops-plot"), { ...range, bars, top: roundUp(Math.max(4, ...bars.map((b) => b.value))) });
  describe();
}

// usualStep is the usual time between two points, in seconds.
function usualStep(points) {
  const between = points.slice(1).map((p, i) => p.at - points[i].at).sort((a, b) => a - b);
  return Math.max(5, between[Math.floor(between.length / 2)] ?? 0);
}

// gather adds up what was dropped in bars of so many seconds.
function gather(points, width) {
  const bars = new Map();
  for (const p of points) {
    const at = Math.floor(p.at / width) * width;
    bars.set(at, (bars.get(at) ?? 0) + p.drops);
  }
  return [...bars].map(([at, value]) => ({ at, width, value }));
}

// describe says in words what is pointed at, or what is to be seen.
function describe() {
  const points = visible();
  const range = [shown.now - shown.seconds, shown.now];
  for (const svg of [byId("fill-plot"), byId("drops-plot")]) cross(svg, shown.at, ...range);
  if (points.length === 0) {
    say(byId("fill-said"), "Nothing was measured in this time.");
    say(byId("drops-said"), "");
    return;
  }
  if (shown.at !== null) {
    const p = points.reduce((best, p) => (Math.abs(p.at - shown.at) < Math.abs(best.at - shown.at) ? p : best));
    say(byId("fill-said"), `${clockOf(p.at)}: ${figure(p.entries, p.max)} connections, ${figure(p.expectations, p.expect_max)} expectations`);
    say(byId("drops-said"), `${clockOf(p.at)}: ${count(p.drops)} dropped`);
    return;
  }
  const most = highest(series(points, connections));
  const mostExpected = highest(series(points, expectations));
  const peaks = [["Connections", most], ["expectations", mostExpected]].filter(([, p]) => p !== null);
  say(byId("fill-said"), peaks.map(([name, p]) => `${name} at most ${digits(p.value)} %${p.value > 0 ? ` at ${hour(p.at * 1000)}` : ""}`).join(", "));
  const dropped = points.reduce((sum, p) => sum + p.drops, 0);
  say(byId("drops-said"), dropped === 0 ? "None in this time." : `${count(dropped)} in this time`);
}

const figure = (part, whole) => (whole > 0 ? `${count(part)} of ${count(whole)} (${percent(part, whole)})` : count(part));
const clockOf = (at) => new Date(at * 1000).toLocaleTimeString(undefined, { hourCycle: "h23" });
