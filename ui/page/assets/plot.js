// Draws the fill of the tables and what happened, over one axis of time, as SVG in the pixels of its element.

import { minutes, zone } from "./parts.js";

const margin = { left: 44, right: 10, top: 8 };
const fillHeight = 160; // of the fill, from 0 to 100 %
const laneHeight = { bars: 44, marks: 30 }; // with the name of the lane
const nameHeight = 16;
const axisHeight = 24;
const steps = [60, 120, 300, 600, 900, 1800, 3600, 7200];

// plot draws the times from and to, in seconds since the epoch:
//   lines   [{className, points: [{at, value}]}], in percent, broken where there is no point for gap seconds
//   levels  [{percent, severity}]
//   lanes   [{name, bars: [{at, width, value}]} or {name, marks: [{at, severity}], isLine}], below each other
// It returns what drawCross needs.
export function plot(svg, { from, to, gap, lines, levels, lanes }) {
  const width = svg.parentElement.clientWidth;
  const bottom = margin.top + fillHeight;
  const height = bottom + lanes.reduce((sum, l) => sum + (l.bars ? laneHeight.bars : laneHeight.marks), 0) + axisHeight;
  const frame = {
    svg, from, to, left: margin.left, right: width - margin.right, top: margin.top, bottom: height - axisHeight,
    x: (at) => margin.left + ((at - from) / (to - from)) * (width - margin.left - margin.right),
    y: (percent) => bottom - (Math.min(percent, 100) / 100) * fillHeight,
  };
  const nodes = [...timeAxis(frame), ...fillAxis(frame, levels)];
  let y = bottom;
  for (const lane of lanes) {
    const top = y;
    y += lane.bars ? laneHeight.bars : laneHeight.marks;
    nodes.push(...(lane.bars ? barLane(frame, lane, top, y) : markLane(frame, lane, top, y)));
  }
  for (const line of lines) nodes.push(draw(frame, "path", `line ${line.className}`, { d: trace(line.points, frame, gap) }));
  svg.style.height = `${height}px`; // through the CSSOM, which the policy allows
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...nodes);
  return frame;
}

// timeAt returns the time at a pointer.
export function timeAt(frame, clientX) {
  const x = clientX - frame.svg.getBoundingClientRect().left;
  const part = (x - frame.left) / (frame.right - frame.left);
  return frame.from + Math.min(1, Math.max(0, part)) * (frame.to - frame.from);
}

// drawCross marks a time in the whole plot, and the values of the lines then.
export function drawCross(frame, at, values) {
  frame.svg.querySelectorAll(".cross").forEach((node) => node.remove());
  if (at === null) return;
  const x = frame.x(at);
  frame.svg.append(
    draw(frame, "line", "cross", { x1: x, x2: x, y1: frame.top, y2: frame.bottom }),
    ...values.map(({ className, value }) =>
      draw(frame, "circle", `cross dot ${className}`, { cx: x, cy: frame.y(value), r: 3.5 })),
  );
}

// barSeconds returns the width of a bar in seconds, such that a bar is at least 6 pixels wide.
export function barSeconds(width, seconds) {
  const maxBars = Math.max(1, (width - margin.left - margin.right) / 6);
  return [5, 10, 15, 30, 60, 120, 300, 600, 900].find((n) => seconds / n <= maxBars) ?? 1800;
}

function draw({ svg }, name, className, attributes, text) {
  const node = document.createElementNS(svg.namespaceURI, name);
  node.setAttribute("class", className);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const horizontal = (frame, className, y) =>
  draw(frame, "line", className, { x1: frame.left, x2: frame.right, y1: y, y2: y });

function fillAxis(frame, levels) {
  const nodes = [0, 50, 100].map((percent) => horizontal(frame, percent === 100 ? "limit" : "grid", frame.y(percent)));
  for (const { percent, severity } of levels) nodes.push(horizontal(frame, `level ${severity}`, frame.y(percent)));
  for (const percent of [0, 50, levels[0].percent, 100]) { // the others have no room
    nodes.push(draw(frame, "text", "tick value", { x: frame.left - 6, y: frame.y(percent) + 4 }, `${percent} %`));
  }
  return nodes;
}

function timeAxis(frame) {
  const nodes = [];
  const maxTicks = Math.max(2, Math.floor((frame.right - frame.left) / 64));
  const step = steps.find((s) => (frame.to - frame.from) / s <= maxTicks) ?? steps[steps.length - 1];
  const offset = new Date(frame.to * 1000).getTimezoneOffset() * 60;
  const y = frame.bottom + 17;
  for (let at = Math.ceil((frame.from - offset) / step) * step + offset; at <= frame.to; at += step) {
    const x = frame.x(at);
    nodes.push(draw(frame, "line", "grid", { x1: x, x2: x, y1: frame.top, y2: frame.bottom + 4 }));
    if (x > frame.left + 44 && x < frame.right - 16) {
      nodes.push(draw(frame, "text", "tick time", { x, y }, minutes(at * 1000)));
    }
  }
  nodes.push(draw(frame, "text", "tick", { x: 0, y }, zone(frame.to * 1000)));
  return nodes;
}

function laneName(frame, name, top) {
  return [
    horizontal(frame, "grid", top + 0.5),
    draw(frame, "text", "tick", { x: frame.left + 4, y: top + 13 }, name),
  ];
}

function barLane(frame, { name, className, bars }, top, bottom) {
  const most = Math.max(1, ...bars.map((b) => b.value));
  const base = bottom - 3;
  let path = "";
  for (const { at, width, value } of bars) {
    if (value <= 0) continue;
    const left = Math.max(frame.left, frame.x(at));
    const right = Math.max(left + 1.5, Math.min(frame.right, frame.x(at + width)) - 1);
    const size = Math.max(1.5, (value / most) * (base - top - nameHeight)); // one packet is visible beside a million
    path += `M${left.toFixed(1)},${base}v${-size.toFixed(1)}H${right.toFixed(1)}V${base}z`;
  }
  return [...laneName(frame, name, top), draw(frame, "path", `column ${className}`, { d: path })];
}

// markLane draws a diamond for each event, one where several are at the same place: the worst.
function markLane(frame, { name, marks, isLine }, top, bottom) {
  const nodes = laneName(frame, name, top);
  const places = new Map();
  for (const { at, severity } of marks) { // the worst are last
    places.set(Math.round(frame.x(at) / 6) * 6, severity);
  }
  for (const [x, severity] of places) {
    if (isLine) nodes.push(draw(frame, "line", "event-line", { x1: x, x2: x, y1: frame.top, y2: bottom - 7 }));
    const y = bottom - 8;
    nodes.push(draw(frame, "path", `event ${severity}`, { d: `M${x},${y - 5}l4,5l-4,5l-4,-5z` }));
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
