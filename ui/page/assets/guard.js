// The guard: who writes, and who was refused. Names of processes and units are hostile text
// like all else that the daemon says.

import { badge, byId, cell, count, facts, moment, row, say, show, sync, withNote } from "./parts.js";

// writer says who wrote as ctkeeper's own sentences do (sysfs.Writer.String).
export function writer(by) {
  const place = by.container ? `container ${brief(by.container)}${by.pod ? ` of pod ${by.pod}` : ""}` : by.unit;
  const parts = [by.pid ? `pid ${by.pid}` : "", place ?? ""].filter((part) => part !== "");
  const name = by.comm || "somebody";
  return parts.length > 0 ? `${name} (${parts.join(", ")})` : name;
}

// brief is an id as docker ps shows it.
const brief = (id) => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

// more is what a sentence leaves out of its writer.
export function more(by, sentence) {
  if (!by) return "";
  const parts = [by.comm, by.pid ? `pid ${by.pid}` : "", by.unit, by.container ? `container ${by.container}` : "", by.pod ? `pod ${by.pod}` : ""];
  return parts.filter((part) => part && !sentence.includes(part)).join(", ");
}

const asked = (guard) => Boolean(guard?.mode) && guard.mode !== "off"; // a daemon of a former version has none
export const unavailable = (guard) => asked(guard) && guard.state === "unavailable";

const states = {
  __proto__: null, watching: ["good", "watching"], locked: ["good", "locked"], unavailable: ["warn", "not available"], off: ["dim", "not in force"],
};
const things = {
  __proto__: null, pid: "the pid of a writer", comm: "its command", unit: "its unit or container",
  module: "who loads the module", sysfs: "who writes hashsize through sysfs",
};
const doing = { __proto__: null, watch: "watching", lock: "locked" };
const refusalColumns = [
  { label: "Refused", className: "name" }, { label: "Writes", className: "number" }, { label: "Last" },
  { label: "Value", className: "number" }, { label: "By" },
];

export function renderGuard({ guard }) {
  show(byId("guard"), asked(guard));
  if (!asked(guard)) return;
  const [colour, word] = states[guard.state] ?? ["dim", guard.state];
  const locked = guard.state === "locked";
  const missing = new Map(); // what one reason keeps away, by the reason
  for (const m of guard.missing ?? []) {
    const why = m.hint ? `${m.why}; ${m.hint}` : m.why;
    missing.set(why, [...(missing.get(why) ?? []), m.what]);
  }
  const names = (guard.names ?? []).map((name) => things[name] ?? name);
  facts(byId("guard-facts"), [
    ["State", (node) => badge(node, colour, word)],
    ["Asked for", doing[guard.mode] === guard.state ? "" : guard.mode],
    ["Why", guard.error ?? ""],
    ["Refuses foreign writes to", locked ? (guard.locked ?? []).join(", ") || "none of the settings that are kept" : ""],
    ["Names", names.join(", ") || (locked || guard.state === "watching" ? "nobody" : "")],
    ["May write", (guard.allow ?? []).join(", ")],
    ...[...missing].map(([why, what]) => [`Without ${what.join(", ")}`, why]),
  ]);
  say(byId("guard-note"), guard.note ?? "");
  const refused = (guard.refused ?? []).filter((r) => r.count > 0);
  show(byId("refusals"), refused.length > 0);
  sync(byId("refusals").tBodies[0], refused, (r) => r.setting, () => row(refusalColumns), (tr, r) => {
    say(cell(tr, 0), r.setting);
    say(cell(tr, 1), count(r.count));
    moment(cell(tr, 2), r.last.at);
    say(cell(tr, 3), r.last.value);
    withNote(cell(tr, 4), (node) => say(node, writer(r.last.by)), more(r.last.by, writer(r.last.by)));
  });
}
