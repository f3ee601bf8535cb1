// Plots of points over time, drawn as SVG in the pixels of their element.

import { digits, hour } from "./parts.js";

const margin = { left: 46, right: 8, top: 8, bottom: 20 };
const steps = [60, 120, 300, 600, 900, 1800, 3600, 7200];

// plot draws lines and bars from the times from and to, in seconds since the epoch:
//   lines  [{className, points: [{at, value}]}], broken where there is no point for gap seconds
//   bars   [{at, width, value}], width in seconds
//   marks  values with a horizontal line
//   top    the value at the upper edge
export function plot(svg, { from, to, lines = [], bars = null, marks = [], top, gap }) {
  const { width, height } = svg.getBoundingClientRect();
  if (width === 0) return;
  const frame = {
    left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom, from, to,
    x: (at) => margin.left + ((at - from) / (to - from)) * (width - margin.left - margin.right),
    y: (value) => height - margin.bottom - (value / top) * (height - margin.top - margin.bottom),
  };
  const nodes = grid(svg, frame, top);
  for (const mark of marks) {
    nodes.push(draw(svg, "line", "mark", { x1: frame.left, x2: frame.right, y1: frame.y(mark), y2: frame.y(mark) }));
  }
  if (bars) nodes.push(draw(svg, "path", "column", { d: columns(bars, frame) }));
  for (const line of lines) {
    nodes.push(draw(svg, "path", `line ${line.className}`, { d: trace(line.points, frame, gap) }));
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...nodes);
}

// timeAt returns the time at a pointer.
export function timeAt(svg, clientX, from, to) {
  const box = svg.getBoundingClientRect();
  const part = (clientX - box.left - margin.left) / (box.width - margin.left - margin.right);
  return from + Math.min(1, Math.max(0, part)) * (to - from);
}

// drawCross marks a time.
export function drawCross(svg, at, from, to) {
  svg.querySelector(".cross")?.remove();
  if (at === null || at < from || at > to) return;
  const { width, height } = svg.getBoundingClientRect();
  const x = margin.left + ((at - from) / (to - from)) * (width - margin.left - margin.right);
  svg.append(draw(svg, "line", "cross", { x1: x, x2: x, y1: margin.top, y2: height - margin.bottom }));
}

// roundUp returns the smallest of 1, 2, 4, 6, 8, 10, 20, … that is at least value. Half of each is round too.
export function roundUp(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((n) => n * size).find((n) => n >= value * (1 - 1e-9));
}

// barSeconds returns the width of a bar in seconds, such that a bar is at least 6 pixels wide.
export function barSeconds(svg, seconds) {
  const maxBars = Math.max(1, (svg.getBoundingClientRect().width - margin.left - margin.right) / 6);
  return [5, 10, 15, 30, 60, 120, 300, 600, 900].find((n) => seconds / n <= maxBars) ?? 1800;
}

function draw(svg, name, className, attributes, text) {
  const node = document.createElementNS(svg.namespaceURI, name);
  node.setAttribute("class", className);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function grid(svg, frame, top) {
  const nodes = [];
  for (const part of [0, 0.5, 1]) {
    const y = frame.y(part * top);
    nodes.push(draw(svg, "line", "grid", { x1: frame.left, x2: frame.right, y1: y, y2: y }));
    nodes.push(draw(svg, "text", "tick value", { x: frame.left - 6, y: y + 4 }, digits(part * top)));
  }
  const maxTicks = Math.max(2, Math.floor((frame.right - frame.left) / 64));
  const step = steps.find((s) => (frame.to - frame.from) / s <= maxTicks) ?? steps[steps.length - 1];
  const offset = new Date(frame.to * 1000).getTimezoneOffset() * 60;
  for (let at = Math.ceil((frame.from - offset) / step) * step + offset; at <= frame.to; at += step) {
    const x = frame.x(at);
    nodes.push(draw(svg, "line", "grid", { x1: x, x2: x, y1: frame.bottom, y2: frame.bottom + 4 }));
    if (x > frame.left + 14 && x < frame.right - 14) {
      nodes.push(draw(svg, "text", "tick time", { x, y: frame.bottom + 16 }, hour(at * 1000)));
    }
  }
  return nodes;
}

// trace returns the path of a line, through the highest point of each column of pixels.
function trace(points, frame, gap) {
  let path = "";
  let last = null;
  let peak = null;
  const flush = () => {
    if (peak === null) return;
    const broken = last === null || peak.first - last > gap;
    path += `${broken ? "M" : "L"}${peak.x},${frame.y(peak.value).toFixed(1)}`;
    if (broken) path += "h0.01"; // a point alone is a dot
    last = peak.last;
  };
  for (const { at, value } of points) {
    const x = Math.round(frame.x(at));
    if (peak !== null && peak.x === x) {
      peak.value = Math.max(peak.value, value);
      peak.last = at;
      continue;
    }
    flush();
    peak = { x, value, first: at, last: at };
  }
  flush();
  return path;
}

function columns(bars, frame) {
  let path = "";
  for (const { at, width, value } of bars) {
    if (value <= 0) continue;
    const left = Math.max(frame.left, frame.x(at));
    const right = Math.max(left + 1, Math.min(frame.right, frame.x(at + width)) - 1);
    const y = Math.min(frame.y(value), frame.bottom - 1.5); // one packet is visible beside a million
    path += `M${left.toFixed(1)},${frame.bottom}V${y.toFixed(1)}H${right.toFixed(1)}V${frame.bottom}z`;
  }
  return path;
}
