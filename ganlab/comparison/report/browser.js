"use strict";
const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
root.classList.add("script");

// Theme: the system's, until the reader chooses.
const button = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
const label = () => (button.textContent = dark() ? "Light" : "Dark");
button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
system.addEventListener("change", label);
label();

// Sorting: rows without a value stay last in both directions.
const value = (row, column, kind) => {
  const text = row.cells[column].dataset.v;
  return kind === "text" ? text : text === "" ? null : Number(text);
};
const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
for (const table of all("table.sortable")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [value(row, column, head.dataset.kind), row]);
    rows.sort(([a], [b]) => (a === null ? 1 : 0) - (b === null ? 1 : 0) || (a === null ? 0 : up ? compare(a, b) : compare(b, a)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}

// One slider moves all groups' samples to the same moment; what is heard of another moment falls silent.
const frames = all(".frames");
const show = (stop) => frames.forEach((each) => {
  const looks = [...each.children];
  const now = looks.filter((look) => Number(look.dataset.from) <= stop).pop() || looks[0];
  looks.forEach((look) => look.classList.toggle("now", look === now));
  all(":scope > :not(.now) audio", each).forEach((player) => player.pause());
  all(".at", each.parentElement).forEach((at) => (at.textContent = now ? now.dataset.told : ""));
});
const slider = document.getElementById("moment");
if (slider) {
  const labels = slider.parentElement.dataset.told.split("\t");
  const move = () => {
    show(Number(slider.value));
    document.getElementById("moment-told").textContent = labels[slider.value];
    slider.setAttribute("aria-valuetext", labels[slider.value]);
  };
  slider.addEventListener("input", move);
  move();
} else show(Infinity);

// A legend hides a group in all plots.
const legends = all(".legend button");
legends.forEach((each) => each.addEventListener("click", () => {
  const hidden = each.getAttribute("aria-pressed") === "true";
  const group = each.dataset.group;
  legends.filter((other) => other.dataset.group === group).forEach((other) => other.setAttribute("aria-pressed", String(!hidden)));
  all(`.series[data-group="${group}"]`).forEach((series) => series.classList.toggle("off", hidden));
}));

// A group pointed at in a legend stands out in all plots.
const emphasise = (group) => all(".series").forEach((series) =>
  series.classList.toggle("faint", group !== null && series.dataset.group !== group));
for (const each of legends) {
  each.addEventListener("pointerenter", () => emphasise(each.dataset.group));
  each.addEventListener("pointerleave", () => emphasise(null));
  each.addEventListener("focus", () => each.matches(":focus-visible") && emphasise(each.dataset.group));
  each.addEventListener("blur", () => emphasise(null));
}

// A box with values beside the pointer: each group's nearest point, of many groups those nearest to the pointer.
const box = document.getElementById("told");
const signs = new Map(legends.map((each) => [each.dataset.group, each]));
const MOST = 8;
const part = (name, text, kind = "") => Object.assign(document.createElement(name), { textContent: text, className: kind });
for (const chart of all(".chart")) {
  const dots = all("[data-told]", chart).map((dot) => {
    const { x, y, width, height } = dot.getBBox();
    const [place, value, range] = dot.dataset.told.split("\t");
    return { group: dot.parentElement.dataset.group, x: x + width / 2, y: y + height / 2, place, value, range };
  });
  if (!dots.length) continue;
  chart.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
    const distance = (dot) => Math.abs(dot.x - at.x);
    const nearest = new Map();
    for (const dot of dots) {
      if (signs.get(dot.group)?.getAttribute("aria-pressed") === "false") continue;
      if (!nearest.has(dot.group) || distance(dot) < distance(nearest.get(dot.group))) nearest.set(dot.group, dot);
    }
    const reach = Math.min(...[...nearest.values()].map(distance)) + 12;
    const close = [...nearest.values()].filter((dot) => distance(dot) <= reach)
      .sort((a, b) => Math.abs(a.y - at.y) - Math.abs(b.y - at.y)).slice(0, MOST).sort((a, b) => a.y - b.y);
    box.hidden = !close.length;
    if (box.hidden) return;
    const same = close.every((dot) => dot.place === close[0].place);
    box.replaceChildren(...(same ? [part("span", close[0].place, "place")] : []), ...close.flatMap((dot) => [
      signs.get(dot.group).firstElementChild.cloneNode(true),
      part("span", signs.get(dot.group).textContent + (same ? "" : `, ${dot.place}`)),
      part("b", dot.value),
      part("span", dot.range, "range"),
    ]));
    const { width, height } = box.getBoundingClientRect();
    const left = event.clientX + 18 + width < innerWidth ? event.clientX + 18 : event.clientX - width - 18;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${Math.max(8, Math.min(event.clientY - height / 2, innerHeight - height - 8))}px`;
  });
  chart.addEventListener("pointerleave", () => (box.hidden = true));
}

// Copying; where a browser forbids the clipboard to a local file, by the older command.
all(".copy").forEach((each) => each.addEventListener("click", async () => {
  const from = each.closest(".command").querySelector("pre");
  try {
    await navigator.clipboard.writeText(from.textContent.trim());
  } catch {
    getSelection().selectAllChildren(from);
    document.execCommand("copy");
  }
  each.textContent = "Copied";
  setTimeout(() => (each.textContent = "Copy"), 1500);
}));
