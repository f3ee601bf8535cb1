// What is wrong: the headline, and below it every problem with since when, by whom, and what to do.

import { badge, byId, duration, element, setText, show, showFacts, showTime, syncChildren } from "./parts.js";

const maxText = 2000; // characters of a problem

const shown = { title: "", severity: "" };

// showState shows the state in a sentence, in the colour of its severity. The title of the page has it too. What is
// known of the first problem is left to renderProblems.
export function showState(severity, sentence, { before = "", after = "" } = {}) {
  const banner = byId("banner");
  show(byId("worst"), false);
  banner.className = severity;
  setText(byId("severity"), severity);
  setText(byId("state"), sentence, maxText);
  const title = `${before}${sentence.slice(0, 200)}${after}`;
  if (shown.title !== title) document.title = shown.title = title;
  if (shown.severity === severity) return;
  shown.severity = severity;
  byId("icon").href = dot(getComputedStyle(banner).getPropertyValue("--colour"));
}

// dot draws the icon of the tab.
function dot(colour) {
  const canvas = element("canvas");
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour;
  pen.arc(16, 16, 13, 0, 2 * Math.PI);
  pen.fill();
  return canvas.toDataURL();
}

// renderProblems lists what is wrong, the worst first. The headline has the text of the first one.
export function renderProblems(problems, now) {
  const [first, ...rest] = problems;
  show(byId("worst"), first !== undefined);
  if (first) showMore(byId("worst"), first, now);
  show(byId("problems"), rest.length > 0);
  const make = () => {
    const item = element("li");
    const body = element("div");
    body.append(element("p"), element("dl", "known"));
    item.append(element("span"), body);
    return item;
  };
  const key = (p) => [p.severity, p.about, p.docs ? p.docs : p.text].join("\n");
  syncChildren(byId("problem-list"), rest, key, make, (item, p) => {
    const [severity, body] = item.children;
    badge(severity, p.severity, p.severity);
    setText(body.firstElementChild, `${p.text}.`, maxText);
    showMore(body.lastElementChild, p, now);
  });
}

// showMore shows what is known of a problem besides its text.
function showMore(list, p, now) {
  const whole = (text) => text && ((dd) => setText(dd, text, maxText));
  const ago = () => `, ${duration(now - Date.parse(p.since) / 1000)} ago`;
  showFacts(list, [
    ["Since", p.since && ((dd) => showTime(dd, p.since, { after: ago() }))],
    ["By", whole(p.by)],
    ["Do", whole(p.do)],
    ["More", p.docs && ((dd) => {
      if (!dd.firstElementChild) dd.append(element("a"));
      dd.firstElementChild.href = p.docs;
      setText(dd.firstElementChild, `Troubleshooting: ${(p.about ?? []).slice(0, 3).join(", ")}`);
    })],
  ]);
}
