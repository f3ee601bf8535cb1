// The plots of the last hours: the fill of the tables, what was lost, and events, with a cursor for pointer and keys.

import { byId, choice, choose, clock, duration, element, press, setText, zone } from "./parts.js";
import { barSeconds, drawCross, plot, timeAt } from "./plot.js";

const view = { points: [], events: [], words: new Map(), levels: [], now: 0, at: null, frame: null, seconds: 3600 };

// The losses of a point, by the kernel's counters.
const losses = { dropped: "drop", evicted: "early_drop", refused: "chainlength", lost_races: "insert_failed" };

// Events by what they concern. Those of module and configuration have a line through the whole plot.
const lanes = [
  { name: "Settings", isLine: false, has: (kind) => !/^(module|config|table)-/.test(kind) },
  { name: "Module", isLine: true, has: (kind) => kind.startsWith("module-") },
  { name: "Configuration", isLine: true, has: (kind) => kind.startsWith("config-") },
  { name: "Table", isLine: false, has: (kind) => kind.startsWith("table-") },
];
const order = ["good", "notice", "warning", "critical"];

// drawPlots draws points, oldest first, and events up to now: the daemon's clock in seconds since the epoch.
export function drawPlots(points, now, events, { counters, levels }) {
  Object.assign(view, { points, now, levels });
  view.events = events.map((e) => ({ ...e, time: Date.parse(e.at) / 1000 })).reverse();
  view.words = new Map(counters.map((c) => [c.name, c.word]));
  const key = ({ name, percent, severity }) => {
    const node = element("span");
    node.append(element("i", `key level ${severity}`), ` ${name} from ${percent} %`);
    return node;
  };
  if (byId("legend").querySelector(".level") === null) byId("legend").append(...levels.map(key));
  redraw();
}

// listenToPlots handles the choice of a range, the pointer and the keys.
export function listenToPlots() {
  const buttons = [...byId("ranges").children];
  const select = (button) => {
    view.seconds = Number(button.dataset.seconds);
    press(buttons, button);
    redraw();
  };
  select(buttons.find((b) => b.dataset.seconds === choice("range")) ?? buttons[1]);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      choose("range", button.dataset.seconds);
      select(button);
    });
  }
  const box = byId("plot");
  const onPointer = (event) => moveTo(view.frame && timeAt(view.frame, event.clientX));
  box.addEventListener("pointermove", onPointer);
  box.addEventListener("pointerdown", onPointer);
  box.addEventListener("pointerleave", () => moveTo(null));
  box.addEventListener("blur", () => moveTo(null));
  box.addEventListener("keydown", onKey);
  new ResizeObserver(redraw).observe(box);
}

const slot = () => barSeconds(byId("plot").clientWidth, view.seconds);

function onKey(event) {
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
  if (event.key === "Escape") moveTo(null);
  else if (event.key === "Home") moveTo(view.now - view.seconds);
  else if (event.key === "End") moveTo(view.now);
  else if (event.key in steps) moveTo((view.at ?? view.now) + steps[event.key] * slot());
  else return;
  event.preventDefault();
}

function moveTo(at) {
  view.at = at;
  describe();
}

const isInRange = (at) => at >= view.now - view.seconds && at <= view.now + 2;
const pointsInRange = () => view.points.filter((p) => isInRange(p.at));
const share = (part, whole) => (whole > 0 ? (100 * part) / whole : null);
const lines = [
  { className: "connections", value: (p) => share(p.entries, p.max) },
  { className: "expectations", value: (p) => share(p.expectations, p.expect_max) },
];
const sumOf = (points, name) => points.reduce((sum, p) => sum + (p[name] ?? 0), 0);

function redraw() {
  if (view.now === 0) return;
  const points = pointsInRange();
  const gap = 3 * medianStep(points);
  const bars = Object.entries(losses).filter(([name]) => sumOf(points, name) > 0).map(([name, counter]) => ({
    name: `${view.words.get(counter)}: ${sumOf(points, name)}`, className: name, bars: sumBars(points, name, slot()),
  }));
  const marks = lanes.map(({ name, isLine, has }) => {
    const events = view.events.filter((e) => isInRange(e.time) && has(e.event));
    const sorted = events.toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
    return { name: `${name}: ${plural(events.length, "event")}`, isLine, marks: sorted.map((e) => ({ at: e.time, severity: e.severity })) };
  }).filter((lane) => lane.marks.length > 0);
  view.frame = plot(byId("plot").firstElementChild, {
    from: view.now - view.seconds, to: view.now, gap, levels: view.levels, lanes: [...bars, ...marks],
    lines: lines.map(({ className, value }) => ({
      className, points: points.map((p) => ({ at: p.at, value: value(p) })).filter((p) => p.value !== null),
    })),
  });
  describe();
}

const plural = (n, noun) => (n === 1 ? `1 ${noun}` : `${n} ${noun}s`);

// medianStep returns the median time between two points, in seconds, and at least 5.
function medianStep(points) {
  const between = points.slice(1).map((p, i) => p.at - points[i].at).sort((a, b) => a - b);
  return Math.max(5, between[Math.floor(between.length / 2)] ?? 0);
}

const startOf = (at, width) => Math.floor(at / width) * width;

// sumBars adds up the losses of one kind in bars of width seconds.
function sumBars(points, name, width) {
  const bars = new Map();
  for (const p of points) {
    const at = startOf(p.at, width);
    bars.set(at, (bars.get(at) ?? 0) + (p[name] ?? 0));
  }
  return [...bars].map(([at, value]) => ({ at, width, value }));
}

// describe writes the figures at the cursor in words, or else the peaks and sums of the range.
function describe() {
  const box = byId("plot");
  const points = pointsInRange();
  if (view.at !== null) view.at = Math.min(view.now, Math.max(view.now - view.seconds, view.at));
  const text = view.at === null ? rangeText(points) : cursorText(points, view.at);
  setText(byId("plot-text"), text, 2000);
  box.setAttribute("aria-valuemin", Math.round(view.now - view.seconds));
  box.setAttribute("aria-valuemax", Math.round(view.now));
  box.setAttribute("aria-valuenow", Math.round(view.at ?? view.now));
  box.setAttribute("aria-valuetext", text);
  if (!view.frame) return;
  const p = view.at === null ? undefined : nearest(points, view.at);
  const values = p ? lines.map(({ className, value }) => ({ className, value: value(p) })) : [];
  drawCross(view.frame, view.at, values.filter((v) => v.value !== null));
}

function nearest(points, at) {
  if (points.length === 0) return undefined;
  const p = points.reduce((best, p) => (Math.abs(p.at - at) < Math.abs(best.at - at) ? p : best));
  return Math.abs(p.at - at) <= 3 * medianStep(points) ? p : undefined;
}

const figure = (part, whole, name, text) => `${part}${whole > 0 ? ` of ${whole}` : ""} ${name}${text ? ` (${text})` : ""}`;
const connections = (p) => figure(p.entries, p.max, "connections", p.share);
const expectations = (p) => figure(p.expectations, p.expect_max, "expectations", p.expect_share);
const lossText = (points) => Object.entries(losses).filter(([name]) => sumOf(points, name) > 0)
  .map(([name, counter]) => `${sumOf(points, name)} ${view.words.get(counter)}`).join(", ");

function rangeText(points) {
  if (points.length === 0) return "No measurements in this range.";
  const most = (value) => points.reduce((best, p) => (value(p) > value(best) ? p : best));
  const [c, e] = lines.map(({ value }) => most((p) => value(p) ?? 0));
  const at = (p) => `at ${clock(p.at * 1000)}`;
  const lost = lossText(points) || "nothing lost";
  return `At most ${connections(c)} ${at(c)}, ${expectations(e)} ${at(e)}; ${lost} in this range.`;
}

function cursorText(points, at) {
  const width = slot();
  const start = startOf(at, width);
  const isHere = (time) => time >= start && time < start + width;
  const p = nearest(points, at);
  const lost = lossText(points.filter((p) => isHere(p.at)));
  const events = view.events.filter((e) => isHere(e.time)).map((e) => e.message);
  const more = events.length > 3 ? [`and ${events.length - 3} other events`] : [];
  return [
    `${clock(at * 1000)} ${zone(at * 1000)}: ${p ? `${connections(p)}, ${expectations(p)}` : "no measurement"}`,
    lost && `${lost} in ${duration(width)}`, ...events.slice(-3), ...more,
  ].filter(Boolean).join("; ");
}
