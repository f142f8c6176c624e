"use strict";
// The pictures of a pair, drawn from the numbers in its page.

// The map of every pair of layers, with the value under the pointer or the cursor.
function drawMap(data) {
  const bytes = Uint8Array.from(atob(data.values), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const across = data.y.length;
  const value = (i, j) => data.low + ((data.high - data.low) * view.getUint16(2 * (i * across + j), true)) / 65535;
  const flip = data.rows === "y"; // layers of a vision model are the rows
  const rows = flip ? data.y : data.x;
  const columns = flip ? data.x : data.y;
  const at = (row, column) => (flip ? [column, row] : [row, column]);
  const size = Math.max(12, Math.min(26, Math.floor(760 / Math.max(columns.length, rows.length))));
  const longest = Math.min(18, Math.max(...rows.map((name) => name.length)));
  const [left, top] = [longest * 6.6 + 30, 6];
  const below = Math.min(18, Math.max(...columns.map((name) => name.length))) * 6 + 32;
  const [width, height] = [left + Math.max(size * columns.length, 200) + 8, top + size * rows.length + below];
  const short = (name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name);
  const span = data.high - data.low;
  const parts = [];
  rows.forEach((name, row) => {
    columns.forEach((_, column) => {
      const one = value(...at(row, column));
      const cell = svg("rect", { x: left + column * size, y: top + row * size, width: size + 0.3, height: size + 0.3,
        fill: viridis(span ? (one - data.low) / span : 0.5).fill });
      cell.dataset.row = row;
      cell.dataset.column = column;
      parts.push(cell);
    });
    parts.push(svg("text", { x: left - 5, y: top + row * size + size / 2 + 4, "text-anchor": "end" }, short(name)));
  });
  columns.forEach((name, column) => {
    parts.push(svg("text", { transform: `translate(${left + column * size + size / 2 + 4} ${top + rows.length * size + 5}) ` +
      "rotate(-90)", "text-anchor": "end" }, short(name)));
  });
  const clipped = (name, room) => (name.length > room ? `${name.slice(0, room - 1)}…` : name);
  const [rowsOf, columnsOf] = flip ? [data.models.y, data.models.x] : [data.models.x, data.models.y];
  parts.push(svg("text", { x: left, y: height - 6 }, clipped(columnsOf, Math.floor((width - left) / 7))),
  svg("text", { transform: `translate(14 ${height / 2}) rotate(-90)`, "text-anchor": "middle" },
    clipped(rowsOf, Math.max(8, Math.floor(height / 7)))));
  const best = flip ? [data.best[1], data.best[0]] : data.best;
  const frame = (row, column, stroke, wide) => svg("rect", { x: left + column * size, y: top + row * size, width: size,
    height: size, fill: "none", stroke, "stroke-width": wide });
  parts.push(frame(...best, "#000", 4), frame(...best, "#fff", 2));
  const cursor = svg("rect", { class: "cursor", width: size, height: size, visibility: "hidden" });
  parts.push(cursor);
  const readout = document.getElementById("readout");
  const show = (row, column) => {
    const [i, j] = at(row, column);
    const beyond = data.threshold === null ? "" : value(i, j) > data.threshold ? ", above the null's 95 % point"
      : ", not above the null's 95 % point";
    readout.textContent = `${data.x[i]} × ${data.y[j]}: ${fixed(value(i, j), 4)}${beyond}`;
    cursor.setAttribute("x", left + column * size);
    cursor.setAttribute("y", top + row * size);
    cursor.setAttribute("visibility", "visible");
  };
  const map = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: "application",
    "aria-label": `Heat map of ${data.x.length} × ${data.y.length} layers; arrow keys read out the cells`,
    "aria-describedby": "readout" }, ...parts);
  let [row, column] = best;
  map.addEventListener("focus", () => show(row, column));
  map.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    row = Math.min(rows.length - 1, Math.max(0, row + step[0]));
    column = Math.min(columns.length - 1, Math.max(0, column + step[1]));
    show(row, column);
  });
  map.addEventListener("pointermove", (event) => {
    if (event.target.dataset.row !== undefined) show(Number(event.target.dataset.row), Number(event.target.dataset.column));
  });
  document.getElementById("map").replaceChildren(map);
  const all = document.getElementById("values");
  all.addEventListener("toggle", () => { // a table of all values, made on request
    if (!all.open || all.querySelector("table")) return;
    const head = data.y.map((name) => el("th", { scope: "col" }, name));
    const body = data.x.map((name, i) => el("tr", {}, el("th", { scope: "row" }, name),
      ...data.y.map((_, j) => el("td", {}, fixed(value(i, j), 4)))));
    all.append(el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "table of all layer pairs" },
      el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), ...head)), el("tbody", {}, ...body))));
  });
}

// The histogram of the null with its 95 % point, the chance level and the score.
function drawNull(data, metric, box) {
  const [width, height] = [520, 250];
  const lines = [["limit", data.threshold], ["chance", data.chance], ["score", data.score]].filter((one) => one[1] !== null);
  const frame = chart({ width, height, across: bounds([data.low, data.high, ...lines.map((one) => one[1])]),
    tall: [0, Math.max(...data.counts) * 1.05], below: metric, beside: "random pairings" });
  const step = (data.high - data.low) / data.counts.length;
  data.counts.forEach((count, i) => {
    const [left, right] = [frame.x(data.low + i * step), frame.x(data.low + (i + 1) * step)];
    frame.parts.push(svg("rect", { class: "bar", x: left, y: frame.y(count), width: Math.max(1, right - left),
      height: frame.bottom - frame.y(count) }));
  });
  for (const [kind, value] of lines) {
    frame.parts.push(svg("line", { class: kind, x1: frame.x(value), x2: frame.x(value), y1: frame.top, y2: frame.bottom }));
  }
  box.prepend(svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "Histogram of the null; the score and the 95 % point are in the summary above" }, ...frame.parts));
}

// Score against N or k on a logarithmic axis: largest and at the fixed layers, raw and above chance (dashed).
function drawCurve(data, name, box) {
  const [width, height] = [520, 250];
  const points = data.curves[name];
  const kinds = [[1, "first"], [2, "first dashed"], [3, "second"], [4, "second dashed"]];
  const frame = chart({ width, height, across: bounds(points.map((point) => Math.log10(point[0]))),
    tall: bounds([0, ...points.flatMap((point) => point.slice(1)).filter((value) => value !== null)]),
    below: name !== "k" ? "samples N" : "neighbours k", beside: data.metric,
    marks: points.map((point) => [Math.log10(point[0]), String(point[0])]) });
  for (const [at, kind] of kinds) {
    const known = points.filter((point) => point[at] !== null).map((point) => [frame.x(Math.log10(point[0])), frame.y(point[at])]);
    if (!known.length) continue;
    frame.parts.push(svg("path", { class: kind, d: `M${known.map((one) => one.join(" ")).join("L")}` }));
    const dot = kind.startsWith("first") ? "dot1" : "dot2";
    frame.parts.push(...known.map(([cx, cy]) => svg("circle", { class: dot, cx, cy, r: 2.6 })));
  }
  box.prepend(svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": `Score against ${name !== "k" ? "N" : "k"}; the numbers are in the table below` }, ...frame.parts));
  const head = [name !== "k" ? "N" : "k", "largest", "above chance", "fixed layers", "above chance"];
  box.append(el("details", {}, el("summary", {}, "Numbers"), el("div", { class: "wide" }, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, ...points.map((point) => el("tr", {}, el("th", { scope: "row" }, String(point[0])),
      ...point.slice(1).map((value) => el("td", {}, fixed(value, 4))))))))));
}

document.addEventListener("DOMContentLoaded", () => {
  const here = location.hash.slice(1);
  if (new URLSearchParams(here).has("group")) document.getElementById("back").href = `../index.html#${here}`;
  const data = JSON.parse(document.getElementById("data").textContent);
  if (document.getElementById("map")) drawMap(data);
  if (data.null) drawNull(data.null, data.largest, document.getElementById("null"));
  for (const code of document.querySelectorAll(".json code")) {
    code.textContent = JSON.stringify(JSON.parse(code.textContent), null, 1);
  }
  for (const name of Object.keys(data.curves)) drawCurve(data, name, document.getElementById(`curve-${name}`));
  showEdges();
});
