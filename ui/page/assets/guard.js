// The guard: who writes, and whose writes were blocked. Names of processes and units are untrusted text, as is all
// else in the daemon's answer.

import {
  badge, byId, cell, count, makeRow, setText, show, showFacts, showTime, showWithNote, syncChildren,
} from "./parts.js";

// writerText renders a writer as sysfs.Writer.String does.
export function writerText(by) {
  const pod = podText(by);
  const place = by.container ? `container ${shortId(by.container)}${pod ? ` of pod ${pod}` : ""}` : by.unit;
  const parts = [by.pid ? `pid ${by.pid}` : "", place ?? ""].filter((part) => part !== "");
  const name = by.comm || "somebody";
  return parts.length > 0 ? `${name} (${parts.join(", ")})` : name;
}

// podText is the name of a writer's pod, or its UID where the name is not known.
const podText = (by) => (by.pod_name ? `${by.pod_namespace}/${by.pod_name}` : by.pod ?? "");

// shortId cuts an id to the length that docker ps shows.
const shortId = (id) => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

// writerDetails renders what a sentence leaves out of its writer.
export function writerDetails(by, sentence) {
  if (!by) return "";
  const container = by.container ? `container ${by.container}` : "";
  const parts = [by.comm, by.pid ? `pid ${by.pid}` : "", by.unit, container, by.pod ? `pod ${podText(by)}` : ""];
  return parts.filter((part) => part && !sentence.includes(part)).join(", ");
}

const isConfigured = (guard) => Boolean(guard?.mode) && guard.mode !== "off"; // an older daemon has no guard

const abilities = {
  __proto__: null, pid: "the pid of a writer", comm: "its command", unit: "its unit or container",
  pod: "the name of its pod",
  netns: "the network namespace of a write", module: "who loads the module", sysfs: "who writes hashsize through sysfs",
};
const stateOfMode = { __proto__: null, watch: "watching", hold: "holding", lock: "locked" };
// What a guard that blocks writes does with them, by its state. The names are keys of the document.
const blockings = {
  __proto__: null, locked: { verb: "Refuses", settings: "locked" }, holding: { verb: "Absorbs", settings: "held" },
};
const blockedColumns = [
  { label: "Setting", className: "name" }, { label: "Foreign writes", className: "number" }, { label: "Last" },
  { label: "Value", className: "number" }, { label: "By", className: "wide" },
];
const outcomes = ["refused", "absorbed"];

export function renderGuard({ status: { guard }, guard: { severity, activity } }) {
  show(byId("guard"), isConfigured(guard));
  if (!isConfigured(guard)) return;
  const blocking = blockings[guard.state];
  const blocked = blocking ? (guard[blocking.settings] ?? []).join(", ") || "none of the configured settings" : "";
  const missing = new Map(); // lists of what is missing, by the reason
  for (const m of guard.missing ?? []) {
    const why = m.hint ? `${m.why}; ${m.hint}` : m.why;
    missing.set(why, [...(missing.get(why) ?? []), m.what]);
  }
  const names = (guard.names ?? []).map((name) => abilities[name] ?? name);
  showFacts(byId("guard-facts"), [
    ["State", (node) => badge(node, severity, activity)],
    ["Configured", stateOfMode[guard.mode] === guard.state ? "" : guard.mode],
    ["Reason", guard.error ?? ""],
    [`${blocking?.verb} foreign writes to`, blocked],
    ["Reports", names.join(", ") || (blocking || guard.state === "watching" ? "nothing" : "")],
    ["May write", (guard.allow ?? []).join(", ")],
    ...[...missing].map(([why, what]) => [`Without ${what.join(", ")}`, why]),
  ]);
  setText(byId("guard-note"), guard.note ?? "");
  const writes = outcomes.flatMap((outcome) => (guard[outcome] ?? []).map((w) => ({ outcome, ...w })))
    .filter((w) => w.count > 0);
  const table = byId("blocked");
  show(table, writes.length > 0);
  syncChildren(table.tBodies[0], writes, (w) => `${w.outcome} ${w.setting}`, () => makeRow(blockedColumns), (tr, r) => {
    setText(cell(tr, 0), r.setting);
    setText(cell(tr, 1), `${count(r.count)} ${r.outcome}`);
    showTime(cell(tr, 2), r.last.at);
    setText(cell(tr, 3), r.last.value);
    const by = writerText(r.last.by);
    showWithNote(cell(tr, 4), (node) => setText(node, by), writerDetails(r.last.by, by));
  });
}
