// The events, newest first.

import {
  badge, byId, cell, choice, choose, element, makeRow, setText, show, showTime, showWithNote, syncChildren, zone,
} from "./parts.js";
import { writerDetails } from "./guard.js";

const rowsAtOnce = 15;
const columns = [
  { label: "Time", className: "time" }, { label: "Event" }, { label: "What happened", className: "wide" },
];

const view = { rows: rowsAtOnce };

const settingsOf = (event) => (event.setting ? [event.setting] : event.settings ?? []);

// renderHistory shows events, a list of pairs of a key and an event, newest first; names are those of the settings.
export function renderHistory(events, names) {
  const setting = fillFilter("setting", [...names, ...events.flatMap(([, e]) => settingsOf(e))]);
  const kind = fillFilter("kind", events.map(([, e]) => e.event));
  const found = events.filter(([, e]) =>
    (setting === "" || settingsOf(e).includes(setting)) && (kind === "" || e.event === kind));
  const list = found.slice(0, view.rows);
  show(byId("history"), list.length > 0);
  show(byId("no-history"), list.length === 0);
  show(byId("more"), found.length > list.length);
  setText(byId("shown"), `${list.length} of ${found.length} events`);
  setText(byId("history").tHead.querySelector(".zone"), ` (${zone(Date.now())})`);
  syncChildren(byId("history").tBodies[0], list, ([key]) => key, () => makeRow(columns), (tr, [, e]) => {
    showTime(cell(tr, 0), e.at, { withZone: false });
    badge(cell(tr, 1), e.severity, e.result && e.event === "drift" ? `${e.event}, ${e.result}` : e.event);
    const others = settingsOf(e).filter((name) => !e.message.includes(name)).join(", ");
    const note = e.message.includes(e.note ?? "") ? "" : e.note;
    const notes = [others, writerDetails(e.by, e.message), note];
    showWithNote(cell(tr, 2), (node) => setText(node, e.message, 2000), notes.filter(Boolean).join("; "));
  });
}

// fillFilter fills the options of a filter with names, and returns the choice, which stays where it has no events.
function fillFilter(name, names) {
  const filter = byId(`filter-${name}`);
  const chosen = choice(name);
  const option = (text) => {
    const node = element("option", "", text === "" ? "all" : text);
    node.value = text;
    return node;
  };
  const all = new Set([...names, chosen]);
  all.delete("");
  syncChildren(filter, ["", ...[...all].sort()], (text) => text, option, () => {});
  if (filter.value !== chosen) filter.value = chosen;
  return chosen;
}

export function listenToHistory(render) {
  for (const name of ["setting", "kind"]) {
    byId(`filter-${name}`).addEventListener("change", (event) => {
      choose(name, event.target.value);
      view.rows = rowsAtOnce;
      render();
    });
  }
  byId("more").addEventListener("click", () => {
    view.rows += 100;
    render();
  });
}
