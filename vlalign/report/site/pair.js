"use strict";
// The map of every pair of layers, drawn from the numbers in the page, with the value under the pointer or the cursor.

document.addEventListener("DOMContentLoaded", () => {
  const told = JSON.parse(document.getElementById("matrix").textContent);
  const bytes = Uint8Array.from(atob(told.values), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const across = told.y.length;
  const value = (i, j) => told.low + ((told.high - told.low) * view.getUint16(2 * (i * across + j), true)) / 65535;
  const flip = told.x.length > told.y.length; // the longer axis lies horizontally
  const rows = flip ? told.y : told.x;
  const columns = flip ? told.x : told.y;
  const at = (row, column) => (flip ? [column, row] : [row, column]);
  const size = Math.max(12, Math.min(26, Math.floor(760 / columns.length)));
  const longest = Math.min(18, Math.max(...rows.map((name) => name.length)));
  const [left, top] = [longest * 6.6 + 12, 6];
  const below = Math.min(18, Math.max(...columns.map((name) => name.length))) * 6.4 + 30;
  const [width, height] = [left + size * columns.length + 8, top + size * rows.length + below];
  const short = (name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name);
  const span = told.high - told.low;
  const parts = [];
  rows.forEach((name, row) => {
    columns.forEach((_, column) => {
      const one = value(...at(row, column));
      const cell = svg("rect", { x: left + column * size, y: top + row * size, width: size + 0.3, height: size + 0.3,
        fill: viridis(span ? (one - told.low) / span : 0.5).fill });
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
  const best = flip ? [told.best[1], told.best[0]] : told.best;
  const frame = (row, column, stroke, wide) => svg("rect", { x: left + column * size, y: top + row * size, width: size,
    height: size, fill: "none", stroke, "stroke-width": wide });
  parts.push(frame(...best, "#000", 4), frame(...best, "#fff", 2));
  const cursor = svg("rect", { class: "cursor", width: size, height: size, visibility: "hidden" });
  parts.push(cursor);
  const readout = document.getElementById("readout");
  const show = (row, column) => {
    const [i, j] = at(row, column);
    const beyond = told.threshold === null ? "" : value(i, j) > told.threshold ? ", above the null's 95 % point"
      : ", not above the null's 95 % point";
    readout.textContent = `${told.x[i]} × ${told.y[j]}: ${fixed(value(i, j), 4)}${beyond}`;
    cursor.setAttribute("x", left + column * size);
    cursor.setAttribute("y", top + row * size);
    cursor.setAttribute("visibility", "visible");
  };
  const map = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: "application",
    "aria-label": `Heat map of ${told.x.length} × ${told.y.length} layers; arrow keys read out the cells`,
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
  all.addEventListener("toggle", () => { // a table of all values, made when it is asked for
    if (!all.open || all.querySelector("table")) return;
    const head = told.y.map((name) => el("th", { scope: "col" }, name));
    const body = told.x.map((name, i) => el("tr", {}, el("th", { scope: "row" }, name),
      ...told.y.map((_, j) => el("td", {}, fixed(value(i, j), 4)))));
    all.append(el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "table of all layer pairs" },
      el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), ...head)), el("tbody", {}, ...body))));
  });
});
