"use strict";
// What plain HTML cannot: parts that stay fresh while they are looked at, lengths of time that pass, and copying.

const EVERY_MS = 2000;
const UNITS = [[5 * 86400, 86400, "d"], [2 * 3600, 3600, "h"], [120, 60, "min"], [1, 1, "s"]];

function relative(seconds) {
  const length = Math.abs(seconds);
  const unit = UNITS.find(([least]) => length >= least);
  if (!unit) return "now";
  const spoken = `${Math.round(length / unit[1])} ${unit[2]}`;
  return seconds > 0 ? `in ${spoken}` : `${spoken} ago`;
}

// The machine's clock may be off: what the page said when it came is what the rest is counted from.
function ageTimes(root) {
  for (const time of root.querySelectorAll("time.relative")) {
    const at = Date.parse(time.dateTime);
    const told = relative((at - Date.now() - skew) / 1000);
    if (time.textContent !== told) time.textContent = told;
  }
}

let skew = 0;
const announced = document.querySelector("meta[name='relay-now']");
if (announced) skew = Date.parse(announced.content) - Date.now();

function busyReading() {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed;
}

setInterval(() => {
  if (document.visibilityState !== "visible") return;
  ageTimes(document);
  if (!busyReading()) document.body.dispatchEvent(new CustomEvent("relay-tick"));
}, EVERY_MS);
setInterval(() => document.visibilityState === "visible" && ageTimes(document), 1000);

// What was opened stays open when its part is sent again, and what it comes to is said to who cannot see it.
let opened = new Set();
const said = document.getElementById("said");
const saying = () => (document.querySelector("[data-said]")?.textContent ?? "").trim();
let before = saying();
document.body.addEventListener("htmx:beforeSwap", () => {
  opened = new Set([...document.querySelectorAll("details[open][id]")].map((details) => details.id));
});
document.body.addEventListener("htmx:afterSwap", () => {
  for (const id of opened) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  ageTimes(document);
  if (said && saying() !== before) said.textContent = before = saying();
});

const lost = document.getElementById("lost");
const tell = (gone) => { if (lost) lost.hidden = !gone; };
document.body.addEventListener("htmx:sendError", () => tell(true));
document.body.addEventListener("htmx:responseError", (event) => tell(event.detail.xhr.status >= 500));
document.body.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.xhr.status < 400) tell(false); });

// Copying needs a script, so the buttons are shown by one.
function showCopying() {
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = false;
}
showCopying();
document.body.addEventListener("htmx:afterSwap", showCopying);
// A link to something folded unfolds it.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
}
addEventListener("hashchange", unfold);
unfold();
document.body.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Over plain http browsers keep the clipboard to themselves: select it, for the person to copy.
    document.getSelection().selectAllChildren(source);
    button.textContent = "Selected: copy it";
  }
  setTimeout(() => { button.textContent = label; }, 2000);
});
