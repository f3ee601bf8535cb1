// Helpers of the page: elements, whose text is never set as markup, and the format of figures and times.

const unknown = "unknown";
const maxLength = 400; // characters of a value

export const byId = (id) => document.getElementById(id);

// setText sets the text of an element only where it differs, so that a selection stays and screen readers do not
// repeat it.
export function setText(node, value) {
  const text = clip(value);
  if (node.textContent !== text) node.textContent = text;
}

export function element(name, className, value) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (value !== undefined) setText(node, value);
  return node;
}

function clip(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}… (${count(text.length)} characters)`;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// syncChildren gives parent one child for each item, in the order of items. It keeps the elements of known keys.
export function syncChildren(parent, items, key, make, update) {
  const old = new Map();
  for (const child of parent.children) old.set(child.itemKey, child);
  let next = parent.firstElementChild;
  for (const item of items) {
    const k = key(item);
    let node = old.get(k);
    if (node) {
      old.delete(k);
    } else {
      node = make(item);
      node.itemKey = k;
    }
    update(node, item);
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
  for (const node of old.values()) node.remove();
}

// makeRow makes a row with a cell for each column; the first cell is the row's header. On a phone each cell shows the
// label of its column.
export function makeRow(columns) {
  const tr = element("tr");
  tr.setAttribute("role", "row");
  columns.forEach((column, i) => {
    const cell = element(i === 0 ? "th" : "td", column.className);
    cell.setAttribute("role", i === 0 ? "rowheader" : "cell");
    if (i === 0) cell.scope = "row";
    cell.dataset.label = column.label;
    cell.append(element("span", "value"));
    tr.append(cell);
  });
  return tr;
}

export const cell = (tr, i) => tr.children[i].firstElementChild;

// showWithNote fills a cell with a value and a note below it.
export function showWithNote(node, fill, note) {
  if (!node.lastElementChild?.classList.contains("note")) {
    node.replaceChildren(element("span"), element("span", "note"));
  }
  fill(node.firstElementChild);
  setText(node.lastElementChild, note);
}

// showFacts fills a list with pairs of a name and a value. A value is a text or a function that fills the element.
// A pair with an empty value is left out.
export function showFacts(list, pairs) {
  const make = (pair) => {
    const group = element("div");
    group.append(element("dt", "", pair[0]), element("dd"));
    return group;
  };
  const known = pairs.filter(([, value]) => value !== undefined && value !== "");
  syncChildren(list, known, ([name]) => name, make, (group, [, value]) => {
    if (typeof value === "function") value(group.lastElementChild);
    else setText(group.lastElementChild, value);
  });
}

// badge shows a word in a colour: good, warn, bad or dim.
export function badge(node, colour, word) {
  const className = `badge ${colour}`;
  if (node.className !== className) node.className = className;
  setText(node, word);
}

const figures = new Intl.NumberFormat();
const isNumber = (n) => typeof n === "number" && Number.isFinite(n);

export const count = (n) => (isNumber(n) ? figures.format(n) : unknown);

export function digits(n) {
  if (!isNumber(n)) return unknown;
  const size = Math.abs(n);
  if (size >= 100 || size === 0) return figures.format(Math.round(n));
  return String(Number(n.toPrecision(size >= 10 ? 3 : 2)));
}

export const percent = (part, whole) => (isNumber(part) && whole > 0 ? `${digits((100 * part) / whole)} %` : "");

const hourAndMinute = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const clock = new Intl.DateTimeFormat(undefined, { ...hourAndMinute, second: "2-digit" });
const minutes = new Intl.DateTimeFormat(undefined, hourAndMinute);
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

export const hour = (ms) => minutes.format(ms);

// showTime shows a time in the browser's zone, with the day unless it is today. The title has it as the daemon wrote
// it.
export function showTime(node, iso, before = "") {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) {
    setText(node, iso ? iso : "");
    return;
  }
  const today = day.format(ms) === day.format(Date.now());
  let time = node.querySelector("time");
  if (!time) {
    time = element("time");
    node.replaceChildren(time);
  }
  if (time.dateTime !== iso) {
    time.dateTime = iso;
    time.title = iso;
  }
  setText(time, before + (today ? clock.format(ms) : `${day.format(ms)}, ${clock.format(ms)}`));
}
