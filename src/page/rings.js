// Whom a group rings, as a drawing over time with a table beside it.

import { called, find, make } from "./dom.js";
import { ask, groupPath } from "./service.js";

const SVG = "http://www.w3.org/2000/svg";
const FAILURES = {
  nobody: "Kazoo 4.3 itself rings nobody here.",
  endless: "Kazoo 4.3 itself never comes to an end here.",
  crash: "Kazoo 4.3 itself crashes here.",
};
// How long the time is drawn of what rings as long as the others, where no other says how long.
const UNKNOWN_S = 20;
const ROW = 44;

export async function showRings(id) {
  const strategy = encodeURIComponent(find("strategy").value);
  const { envelope } = await ask("GET", groupPath(id, `/rings?strategy=${strategy}`));
  const { rings, dropped, failure } = envelope.data;
  find("drawing").replaceChildren(...(rings.length ? [drawing(rings)] : []));
  fillTable(rings);
  find("dropped").hidden = dropped.length === 0;
  const left = dropped.map((of) => make("li", {}, `${of.id === "*" ? "All" : called(of)}: ${of.why}`));
  find("dropped").querySelector("ul").replaceChildren(...left);
  const failed = failure ? FAILURES[failure] : rings.length ? "" : "Nobody rings.";
  find("rings-failure").textContent = failed;
  find("rings-failure").hidden = !failed;
}

function fillTable(rings) {
  const rows = rings.map((of) => {
    const user = of.user ? (of.user_name ?? of.user) : "";
    const cells = [called(of), user, `${of.delay} s`, of.timeout === null ? "as the others" : `${of.timeout} s`];
    return make("tr", {}, ...cells.map((text) => make("td", {}, text)));
  });
  const table = find("rings-table");
  table.hidden = rows.length === 0;
  table.tBodies[0].replaceChildren(...rows);
}

// A row for each device: its name, and below it a bar from its delay on for as long as it rings.
function drawing(rings) {
  const width = Math.max(240, find("drawing").clientWidth);
  const height = rings.length * ROW + 28;
  const known = rings.map((of) => of.delay + (of.timeout ?? 0));
  const end = Math.max(...known, rings.some((of) => of.timeout === null) ? Math.max(...rings.map((of) => of.delay)) + UNKNOWN_S : 1);
  const margin = 12;
  const at = (seconds) => margin + (seconds / end) * (width - 2 * margin);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": spoken(rings) });
  const step = stepOf(end, width / 60);
  for (let second = 0; second <= end; second += step) {
    svg.append(draw("line", { x1: at(second), x2: at(second), y1: 0, y2: height - 20, class: "axis" }));
    const anchor = second === 0 ? "start" : second + step > end ? "end" : "middle";
    const x = second === 0 ? 0 : second + step > end ? Math.min(at(second) + margin, width) : at(second);
    svg.append(draw("text", { x, y: height - 5, class: "tick", "text-anchor": anchor }, `${second} s`));
  }
  rings.forEach((of, row) => {
    const y = row * ROW;
    const length = at(of.timeout === null ? end : of.delay + of.timeout) - at(of.delay);
    const kind = of.timeout === null ? "open-end" : "bar-of-device";
    const name = called(of) + (of.user_name ? ` (${of.user_name})` : "");
    const most = Math.floor(width / 8);
    svg.append(draw("text", { x: margin, y: y + 16 }, name.length > most ? `${name.slice(0, most - 1)}…` : name));
    svg.append(draw("rect", { x: at(of.delay), y: y + 22, width: Math.max(length, 2), height: 14, rx: 3, class: kind }));
  });
  return svg;
}

// Round steps, so that there are not many more ticks than fit.
function stepOf(end, most) {
  return [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600].find((step) => end / step <= most) ?? Math.ceil(end / most);
}

function spoken(rings) {
  const told = rings.map((of) => `${called(of)} after ${of.delay} s${of.timeout === null ? "" : ` for ${of.timeout} s`}`);
  return `Who rings over time: ${told.join(", ")}`;
}

function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
