// The guard: who writes, and whose writes were refused. Names of processes and units are untrusted text, as is all
// else in the daemon's answer.

import {
  badge, byId, cell, count, makeRow, setText, show, showFacts, showTime, showWithNote, syncChildren,
} from "./parts.js";

// writerText renders a writer as sysfs.Writer.String does.
export function writerText(by) {
  const place = by.container ? `container ${shortId(by.container)}${by.pod ? ` of pod ${by.pod}` : ""}` : by.unit;
  const parts = [by.pid ? `pid ${by.pid}` : "", place ?? ""].filter((part) => part !== "");
  const name = by.comm || "somebody";
  return parts.length > 0 ? `${name} (${parts.join(", ")})` : name;
}

// shortId cuts an id to the length that docker ps shows.
const shortId = (id) => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

// writerDetails renders what a sentence leaves out of its writer.
export function writerDetails(by, sentence) {
  if (!by) return "";
  const container = by.container ? `container ${by.container}` : "";
  const parts = [by.comm, by.pid ? `pid ${by.pid}` : "", by.unit, container, by.pod ? `pod ${by.pod}` : ""];
  return parts.filter((part) => part && !sentence.includes(part)).join(", ");
}

const isConfigured = (guard) => Boolean(guard?.mode) && guard.mode !== "off"; // an older daemon has no guard
export const isUnavailable = (guard) => isConfigured(guard) && guard.state === "unavailable";

const states = {
  __proto__: null, watching: ["good", "watching"], locked: ["good", "locked"],
  unavailable: ["warn", "not available"], off: ["dim", "not in effect"],
};
const abilities = {
  __proto__: null, pid: "the pid of a writer", comm: "its command", unit: "its unit or container",
  module: "who loads the module", sysfs: "who writes hashsize through sysfs",
};
const stateOfMode = { __proto__: null, watch: "watching", lock: "locked" };
const refusalColumns = [
  { label: "Refused", className: "name" }, { label: "Writes", className: "number" }, { label: "Last" },
  { label: "Value", className: "number" }, { label: "By" },
];

export function renderGuard({ guard }) {
  show(byId("guard"), isConfigured(guard));
  if (!isConfigured(guard)) return;
  const [colour, word] = states[guard.state] ?? ["dim", guard.state];
  const locked = guard.state === "locked";
  const missing = new Map(); // lists of what is missing, by the reason
  for (const m of guard.missing ?? []) {
    const why = m.hint ? `${m.why}; ${m.hint}` : m.why;
    missing.set(why, [...(missing.get(why) ?? []), m.what]);
  }
  const names = (guard.names ?? []).map((name) => abilities[name] ?? name);
  showFacts(byId("guard-facts"), [
    ["State", (node) => badge(node, colour, word)],
    ["Configured", stateOfMode[guard.mode] === guard.state ? "" : guard.mode],
    ["Reason", guard.error ?? ""],
    ["Refuses foreign writes to", locked ? (guard.locked ?? []).join(", ") || "none of the configured settings" : ""],
    ["Reports", names.join(", ") || (locked || guard.state === "watching" ? "nothing" : "")],
    ["May write", (guard.allow ?? []).join(", ")],
    ...[...missing].map(([why, what]) => [`Without ${what.join(", ")}`, why]),
  ]);
  setText(byId("guard-note"), guard.note ?? "");
  const refused = (guard.refused ?? []).filter((r) => r.count > 0);
  show(byId("refusals"), refused.length > 0);
  syncChildren(byId("refusals").tBodies[0], refused, (r) => r.setting, () => makeRow(refusalColumns), (tr, r) => {
    setText(cell(tr, 0), r.setting);
    setText(cell(tr, 1), count(r.count));
    showTime(cell(tr, 2), r.last.at);
    setText(cell(tr, 3), r.last.value);
    const by = writerText(r.last.by);
    showWithNote(cell(tr, 4), (node) => setText(node, by), writerDetails(r.last.by, by));
  });
}
