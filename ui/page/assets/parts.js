// Helpers of the page: elements, whose text is never set as markup, and the format of figures and times.

const unknown = "unknown";
const maxLength = 400; // characters of a value

// own returns a value of an object from the daemon, whose keys may be "constructor" or "__proto__".
export const own = (object, key) => (object && Object.hasOwn(object, key) ? object[key] : undefined);

export const byId = (id) => document.getElementById(id);

// setText sets the text of an element only where it differs, so that a selection stays and screen readers do not
// repeat it.
export function setText(node, value, limit = maxLength) {
  const text = clip(value, limit);
  if (node.textContent === text) return;
  node.textContent = "";
  node.append(...groupDigits(text));
}

// A number of five digits or more, which is no part of a name, a time or a process's id.
const longNumber = /(?<![\w/#.:-]|pid )\d{5,15}(?![\w/-]|[.:]\d)/g;

// groupDigits returns a text with its long numbers in groups of three digits. The gaps are no characters: what is
// copied or searched for is the number as the kernel and the configuration have it.
function groupDigits(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: number, index } of text.matchAll(longNumber)) {
    const first = number.length % 3 || 3;
    nodes.push(...breakPaths(text.slice(end, index)), number.slice(0, first));
    for (const group of number.slice(first).match(/\d{3}/g)) {
      const node = document.createElement("span");
      node.className = "digits";
      node.textContent = group;
      nodes.push(node);
    }
    end = index + number.length;
  }
  return [...nodes, ...breakPaths(text.slice(end))];
}

// breakPaths returns a text whose paths may break after a slash, and dotted names after a dot.
const breakPaths = (text) =>
  text.split(/(?<=\w\/)(?=\w)|(?<=[a-z]\.)(?=[a-z])/).flatMap((part, i) => (i > 0 ? [document.createElement("wbr"), part] : [part]));

export function element(name, className, value) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (value !== undefined) setText(node, value);
  return node;
}

function clip(value, limit) {
  const text = value === null || value === undefined ? "" : String(value);
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length} characters)`;
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
  show(list, known.length > 0);
  syncChildren(list, known, ([name]) => name, make, (group, [, value]) => {
    if (typeof value === "function") value(group.lastElementChild);
    else setText(group.lastElementChild, value);
  });
}

// badge shows a word in the colour and shape of a severity.
export function badge(node, severity, word) {
  const className = `badge ${severity}`;
  if (node.className !== className) node.className = className;
  setText(node, word);
}

const isNumber = (n) => typeof n === "number" && Number.isFinite(n);

export const count = (n) => (isNumber(n) ? String(n) : unknown);

// oneDecimal renders a rate, or another figure that is no whole number.
export function oneDecimal(n) {
  const size = Math.abs(n);
  if (size > 0 && size < 0.05) return "<0.1";
  return size < 9.95 ? String(Math.round(n * 10) / 10) : String(Math.round(n));
}

const two = (n) => String(n).padStart(2, "0");
const zoneFormat = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

// zone returns the name of the browser's time zone at a time.
export const zone = (ms) => zoneFormat.formatToParts(ms).find((p) => p.type === "timeZoneName").value;

// clock, minutes and day render a time in the browser's zone.
export const minutes = (ms) => `${two(new Date(ms).getHours())}:${two(new Date(ms).getMinutes())}`;
export const clock = (ms) => `${minutes(ms)}:${two(new Date(ms).getSeconds())}`;
const day = (ms) => {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
};

// duration renders a time in its two largest units.
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// showTime shows a time, with the day unless it is today, and what is before and after it. The title has it as the
// daemon wrote it.
export function showTime(node, iso, { before = "", after = "", withZone = true } = {}) {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) {
    setText(node, iso ? iso : "");
    return;
  }
  let time = node.querySelector("time");
  if (!time) {
    time = element("time");
    node.replaceChildren(time);
  }
  if (time.dateTime !== iso) {
    time.dateTime = iso;
    time.title = iso;
  }
  const date = day(ms) === day(Date.now()) ? "" : `${day(ms)} `;
  const name = withZone || zone(ms) !== zone(Date.now()) ? ` ${zone(ms)}` : "";
  setText(time, `${before}${date}${clock(ms)}${name}${after}`);
}

// placeText renders a place in a file.
export const placeText = ({ file, line }) => (line ? `${file}:${line}` : file);

// choice returns what was chosen, as the address has it; choose changes it there, so that it stays over a reload.
export const choice = (name) => new URLSearchParams(location.hash.slice(1)).get(name) ?? "";

export function choose(name, value) {
  const all = new URLSearchParams(location.hash.slice(1));
  if (value === "") all.delete(name);
  else all.set(name, value);
  history.replaceState(null, "", `${location.pathname}${location.search}#${all}`);
}

// press marks the button that is chosen.
export function press(buttons, chosen) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
}
