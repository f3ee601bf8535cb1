// The settings: those that are not as wanted come first, and alone where there are many.

import {
  badge, byId, cell, choice, choose, count, element, makeRow, own, placeText, press, setText, show, showTime,
  syncChildren,
} from "./parts.js";
import { writerText } from "./guard.js";

const maxAtOnce = 16; // settings that are shown without being asked for
const order = ["critical", "warning", "notice", "good"];
const columns = [
  { label: "Setting", className: "name" }, { label: "State" }, { label: "Want", className: "number" },
  { label: "Live", className: "number" }, { label: "Drifts", className: "number" },
  { label: "From", className: "path" }, { label: "Details", className: "details" },
];
const policies = { __proto__: null, at_least: "at least ", at_most: "at most " };
// Of several files of one name only one is read.
const shortPlace = (origin) => placeText(origin).replace(/^\/.*\//, "");
const milliseconds = (seconds) => Number((seconds * 1000).toPrecision(3));

// renderSettings shows the settings of an answer.
export function renderSettings({ status, states, units, settings_text: text }) {
  const settings = status.settings ?? [];
  const severity = (s) => own(states, s.state) ?? "critical";
  const wrong = settings.filter((s) => severity(s) !== "good");
  const buttons = [...byId("which-settings").children];
  const chosen = choice("settings") || (settings.length > maxAtOnce ? "wrong" : "all");
  const list = chosen === "wrong" ? wrong : settings;
  setText(byId("settings-text"), text);
  show(byId("which-settings"), settings.length > 0);
  setText(buttons[0], `Not as wanted (${wrong.length})`);
  setText(buttons[1], `All (${settings.length})`);
  press(buttons, buttons.find((b) => b.dataset.which === chosen));
  show(byId("settings"), list.length > 0);
  const sorted = list.toSorted((a, b) => order.indexOf(severity(a)) - order.indexOf(severity(b)));
  syncChildren(byId("settings").tBodies[0], sorted, (s) => s.setting, () => makeRow(columns), (tr, s) => {
    const unit = own(units, s.setting) ? ` ${units[s.setting]}` : "";
    setText(cell(tr, 0), s.setting);
    badge(cell(tr, 1), severity(s), s.state);
    setText(cell(tr, 2), `${policies[s.policy] ?? ""}${s.want}${unit}`);
    setText(cell(tr, 3), s.live === null || s.live === undefined ? "–" : `${s.live}${unit}`);
    setText(cell(tr, 4), count(s.drifts));
    setText(cell(tr, 5), shortPlace(s.origin));
    cell(tr, 5).title = placeText(s.origin).slice(0, 400);
    showDetails(cell(tr, 6), s, severity(s) !== "good");
  });
}

// showDetails shows the error, since when a setting is not as wanted, and the last drift.
function showDetails(node, s, isWrong) {
  if (node.children.length === 0) {
    node.append(element("span", "error"), element("span"), element("span"));
    node.lastElementChild.append(element("span"), element("span"));
  }
  const [error, since, drift] = node.children;
  setText(error, s.error, 2000);
  show(error, Boolean(s.error));
  show(since, isWrong && Boolean(s.since));
  if (!since.hidden) showTime(since, s.since, { before: `${s.state} since ` });
  show(drift, Boolean(s.last_drift));
  if (!s.last_drift) return;
  const { at, found, cause, by, repaired_seconds: seconds } = s.last_drift;
  const writer = by ? `${cause} by ${writerText(by)}` : cause;
  const repaired = seconds ? `repaired in ${milliseconds(seconds)} ms` : "not repaired";
  showTime(drift.firstElementChild, at, { before: "Last drift " });
  setText(drift.lastElementChild, `: found ${found}, ${writer}, ${repaired}`, 2000);
}

export function listenToSettings(render) {
  for (const button of byId("which-settings").children) {
    button.addEventListener("click", () => {
      choose("settings", button.dataset.which);
      render();
    });
  }
}
