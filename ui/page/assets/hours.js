// The plots of the last hours: the fill of the tables, and the drops.

import { byId, count, digits, hour, percent, setText } from "./parts.js";
import { barSeconds, drawCross, plot, roundUp, timeAt } from "./plot.js";

const view = { seconds: 3600, points: [], now: 0, at: null };

// drawPlots draws points, oldest first, up to now: the daemon's clock in seconds since the epoch.
export function drawPlots(points, now) {
  view.points = points;
  view.now = now;
  redraw();
}

// listenToPlots handles the choice of a range and the pointer.
export function listenToPlots() {
  const buttons = [...byId("ranges").children];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      view.seconds = Number(button.dataset.seconds);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      redraw();
    });
  }
  for (const svg of [byId("fill-plot"), byId("drops-plot")]) {
    const onPointer = (event) => {
      view.at = timeAt(svg, event.clientX, view.now - view.seconds, view.now);
      describe();
    };
    svg.addEventListener("pointermove", onPointer);
    svg.addEventListener("pointerdown", onPointer);
    svg.addEventListener("pointerleave", () => {
      view.at = null;
      describe();
    });
  }
  new ResizeObserver(redraw).observe(byId("fill-plot"));
}

const pointsInRange = () => view.points.filter((p) => p.at >= view.now - view.seconds);
const share = (part, whole) => (whole > 0 ? (100 * part) / whole : null);
const connections = (p) => share(p.entries, p.max);
const expectations = (p) => share(p.expectations, p.expect_max);
const series = (points, value) => points.map((p) => ({ at: p.at, value: value(p) })).filter((p) => p.value !== null);
const highest = (list) => list.reduce((most, p) => (most === null || p.value > most.value ? p : most), null);

function redraw() {
  if (view.now === 0) return;
  const points = pointsInRange();
  const range = { from: view.now - view.seconds, to: view.now, gap: 3 * medianStep(points) };
  const lines = [
    { className: "expectations", points: series(points, expectations) },
    { className: "connections", points: series(points, connections) },
  ];
  const peak = Math.max(0, ...lines.map((line) => highest(line.points)?.value ?? 0));
  const top = peak > 50 || peak === 0 ? Math.max(100, roundUp(Math.max(peak, 1))) : roundUp(Math.max(peak * 1.1, 0.01));
  plot(byId("fill-plot"), { ...range, lines, top, marks: top === 100 ? [80, 95] : [] });

  const bars = sumDrops(points, barSeconds(byId("drops-plot"), view.seconds));
  plot(byId("drops-plot"), { ...range, bars, top: roundUp(Math.max(4, ...bars.map((b) => b.value))) });
  describe();
}

// medianStep returns the median time between two points, in seconds, and at least 5.
function medianStep(points) {
  const between = points.slice(1).map((p, i) => p.at - points[i].at).sort((a, b) => a - b);
  return Math.max(5, between[Math.floor(between.length / 2)] ?? 0);
}

// sumDrops adds up the drops in bars of width seconds.
function sumDrops(points, width) {
  const bars = new Map();
  for (const p of points) {
    const at = Math.floor(p.at / width) * width;
    bars.set(at, (bars.get(at) ?? 0) + p.drops);
  }
  return [...bars].map(([at, value]) => ({ at, width, value }));
}

// describe writes the figures at the pointer in words, or else the peaks and sums of the range.
function describe() {
  const points = pointsInRange();
  const range = [view.now - view.seconds, view.now];
  for (const svg of [byId("fill-plot"), byId("drops-plot")]) drawCross(svg, view.at, ...range);
  if (points.length === 0) {
    setText(byId("fill-text"), "No measurements in this range.");
    setText(byId("drops-text"), "");
    return;
  }
  if (view.at !== null) {
    const p = points.reduce((best, p) => (Math.abs(p.at - view.at) < Math.abs(best.at - view.at) ? p : best));
    const fill = `${figure(p.entries, p.max)} connections, ${figure(p.expectations, p.expect_max)} expectations`;
    setText(byId("fill-text"), `${clockOf(p.at)}: ${fill}`);
    setText(byId("drops-text"), `${clockOf(p.at)}: ${count(p.drops)} dropped`);
    return;
  }
  const most = highest(series(points, connections));
  const mostExpected = highest(series(points, expectations));
  const peaks = [["Connections", most], ["expectations", mostExpected]].filter(([, p]) => p !== null);
  const time = (p) => (p.value > 0 ? ` at ${hour(p.at * 1000)}` : "");
  setText(byId("fill-text"), peaks.map(([name, p]) => `${name} at most ${digits(p.value)} %${time(p)}`).join(", "));
  const dropped = points.reduce((sum, p) => sum + p.drops, 0);
  setText(byId("drops-text"), dropped === 0 ? "None in this range." : `${count(dropped)} in this range`);
}

const figure = (part, whole) =>
  whole > 0 ? `${count(part)} of ${count(whole)} (${percent(part, whole)})` : count(part);
const clockOf = (at) => new Date(at * 1000).toLocaleTimeString(undefined, { hourCycle: "h23" });
