// What the page is made of: elements whose text is always set as text, and the ways
// in which figures and times are written.

const unknown = "unknown";
const longest = 400; // characters of a value that are shown

export const byId = (id) => document.getElementById(id);

// say sets a text, and leaves the element alone where it says that already: what is
// selected stays selected, and screen readers are not told again.
export function say(node, value) {
  const text = clip(value);
  if (node.textContent !== text) node.textContent = text;
}

export function element(name, className, value) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (value !== undefined) say(node, value);
  return node;
}

function clip(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return text.length <= longest ? text : `${text.slice(0, longest)}… (${count(text.length)} characters)`;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// sync makes the children of parent those of items, in their order, and changes
// nothing that is right already.
export function sync(parent, items, key, make, update) {
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

// row makes a table's row: a cell for each column, the first one its header. On a
// phone each cell carries its column's label.
export function row(columns) {
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

// withNote fills a cell with a value and a note below it.
export function withNote(node, fill, note) {
  if (node.children.length === 0 || !node.lastElementChild.classList.contains("note")) node.replaceChildren(element("span"), element("span", "note"));
  fill(node.firstElementChild);
  say(node.lastElementChild, note);
}

// facts fills a list of names and what they are: [name, value] each, where a value is
// a text or a function that is given the element.
export function facts(list, pairs) {
  const make = (pair) => {
    const group = element("div");
    group.append(element("dt", "", pair[0]), element("dd"));
    return group;
  };
  sync(list, pairs.filter((pair) => pair[1] !== undefined && pair[1] !== ""), (pair) => pair[0], make, (group, pair) => {
    if (typeof pair[1] === "function") pair[1](group.lastElementChild);
    else say(group.lastElementChild, pair[1]);
  });
}

// badge says a word with a colour: good, warn, bad or dim.
export function badge(node, colour, word) {
  const className = `badge ${colour}`;
  if (node.className !== className) node.className = className;
  say(node, word);
}

const figures = new Intl.NumberFormat();
const isFigure = (n) => typeof n === "number" && Number.isFinite(n);

export const count = (n) => (isFigure(n) ? figures.format(n) : unknown);

export function digits(n) {
  if (!isFigure(n)) return unknown;
  const size = Math.abs(n);
  if (size >= 100 || size === 0) return figures.format(Math.round(n));
  return String(Number(n.toPrecision(size >= 10 ? 3 : 2)));
}

export const percent = (part, whole) => (isFigure(part) && whole > 0 ? `${digits((100 * part) / whole)} %` : "");


const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

export const hour = (ms) => minutes.format(ms);

// moment shows a time in the browser's zone, with the day where that is not today's,
// and as the daemon wrote it in the title.
export function moment(node, iso) {
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) {
    say(node, iso ? iso : "");
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
  say(time, today ? clock.format(ms) : `${day.format(ms)}, ${clock.format(ms)}`);
}
