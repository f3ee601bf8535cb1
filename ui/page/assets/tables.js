// How full the tables are, and the kernel's counters.

import {
  byId, cell, count, element, makeRow, oneDecimal, own, setText, show, showFacts, syncChildren,
} from "./parts.js";

// fillTexts renders the fill of a table: in large type, and in small.
function fillTexts(name, used, limit, share) {
  if (typeof used !== "number") return ["unknown", typeof limit === "number" ? `limit ${limit} ${name}` : ""];
  if (share === "") return [count(used), `${name}${limit === 0 ? ", no limit" : ""}`];
  return [share, `${used} of ${limit} ${name}`];
}

// renderFill shows the fill of a table. The bar is full where the table is.
function renderFill(name, used, limit, { fill, levels, condition }) {
  const box = byId(name);
  if (box.children.length === 0) {
    const bar = element("div");
    bar.setAttribute("role", "meter");
    bar.setAttribute("aria-labelledby", `${name}-title`);
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    bar.append(element("div"), ...levels.map(() => element("i")));
    const sum = element("p", "sum");
    sum.append(element("strong"), " ", element("span"));
    box.append(sum, bar, element("p", "note"));
  }
  const [sum, bar, note] = box.children;
  const [strong, small] = [sum.firstElementChild, sum.lastElementChild];
  const [large, rest] = fillTexts(name, used, limit, fill.share);
  setText(strong, large);
  strong.className = fill.severity;
  setText(small, rest);
  bar.className = `bar ${fill.severity}`;
  const part = fill.share === "" ? 0 : Math.min(100, (100 * used) / limit);
  show(bar.firstElementChild, part > 0);
  bar.firstElementChild.style.width = `${part}%`; // through the CSSOM, which the policy allows
  levels.forEach((level, i) => { bar.children[i + 1].style.left = `${level.percent}%`; });
  bar.setAttribute("aria-valuenow", Math.floor(part));
  bar.setAttribute("aria-valuetext", `${large}: ${rest}`);
  const level = condition?.level === "normal" ? "" : condition?.level;
  setText(note, [level, condition?.loss, fill.forecast].filter(Boolean).join(", "));
}

export function renderTables({ status: { table }, tables, levels }) {
  const view = (name) => ({ fill: tables[name], levels, condition: table.conditions?.[name] });
  renderFill("connections", table.entries, table.max, view("connections"));
  renderFill("expectations", table.expectations, table.expect_max, view("expectations"));
  const rate = table.rates?.entries;
  const logged = (kind) => (table.kernel_messages?.[kind] > 0 ? `${table.kernel_messages[kind]} times` : "");
  showFacts(byId("connection-facts"), [
    ["Hash table", typeof table.buckets === "number" ? `${table.buckets} buckets` : "unknown"],
    ["Load", typeof table.load_factor === "number" ? `${oneDecimal(table.load_factor)} connections a bucket` : ""],
    ["Change", typeof rate === "number" ? `${rate > 0 ? "+" : ""}${oneDecimal(rate)} a second` : ""],
    ["“Table full” in the kernel’s log", logged("table-full")],
  ]);
  const helpers = Object.entries(table.expectations_by_helper ?? {}).sort((a, b) => b[1] - a[1]);
  showFacts(byId("expectation-facts"), [
    ...helpers.slice(0, 12).map(([helper, n]) => [`By ${helper === "" ? "no helper" : helper}`, count(n)]),
    ["Further helpers", helpers.length > 12 ? count(helpers.length - 12) : ""],
    ["“Expectation table full” in the kernel’s log", logged("expectation-table-full")],
  ]);
}

const lossColumns = [
  { label: "What", className: "name" }, { label: "In all", className: "number" },
  { label: "Per second", className: "number" },
];
const counterColumns = [
  { label: "Counter", className: "name" }, { label: "In the kernel", className: "path" },
  { label: "In all", className: "number" }, { label: "Per second", className: "number" },
  { label: "What it counts", className: "wide quiet" },
];
const rateText = (rates, name) => {
  const rate = own(rates, name);
  return typeof rate === "number" ? oneDecimal(rate) : "–";
};

// renderCounters shows the losses in a table of their own, and below all counters that are not zero.
export function renderCounters({ status: { table: { counters, rates } }, counters: known }) {
  const read = counters ?? {};
  const lost = known.filter((c) => c.is_loss && own(read, c.name) !== undefined);
  show(byId("losses"), lost.length > 0);
  syncChildren(byId("losses").tBodies[0], lost, (c) => c.name, () => makeRow(lossColumns), (tr, c) => {
    setText(cell(tr, 0), c.word);
    setText(cell(tr, 1), count(read[c.name]));
    setText(cell(tr, 2), rateText(rates, c.name));
    tr.className = own(rates, c.name) > 0 ? "now" : "";
  });
  const names = known.map((c) => c.name);
  const others = Object.keys(read).filter((name) => !names.includes(name) && name !== "entries").sort();
  const list = [...known, ...others.map((name) => ({ name, word: name, meaning: "" }))]
    .filter((c) => own(read, c.name) > 0);
  show(byId("counters"), list.length > 0);
  const nothing = Object.keys(read).length > 0 ? "Every counter is zero." : "The counters cannot be read.";
  show(byId("no-losses"), lost.length === 0);
  show(byId("no-counters"), list.length === 0);
  setText(byId("no-counters"), nothing);
  syncChildren(byId("counters").tBodies[0], list, (c) => c.name, () => makeRow(counterColumns), (tr, c) => {
    setText(cell(tr, 0), c.word);
    setText(cell(tr, 1), c.name);
    setText(cell(tr, 2), count(read[c.name]));
    setText(cell(tr, 3), rateText(rates, c.name));
    setText(cell(tr, 4), c.meaning);
  });
}
