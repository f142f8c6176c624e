"use strict";
// What all pages share: elements made without any HTML text, colours, and moving about with the arrow keys.

function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const VIRIDIS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"]
  .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

// Colour of a share between 0 and 1, and the ink that has the higher contrast on it (relative luminance of WCAG 2).
function viridis(share) {
  const at = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const low = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const rgb = VIRIDIS[low].map((value, i) => Math.round(value + (at - low) * (VIRIDIS[low + 1][i] - value)));
  const linear = rgb.map((value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return { fill: `rgb(${rgb.join(",")})`, ink: (light + 0.05) ** 2 > 0.05 * 1.05 ? "#000" : "#fff" };
}

// Numbers in the format of all reports; a dash for a missing value.
function fixed(value, digits) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}

// Fades the edge of boxes that have more to the right than they show.
function showEdges() {
  for (const box of document.querySelectorAll(".wide")) {
    box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  }
}

for (const event of ["DOMContentLoaded", "scroll", "toggle"]) document.addEventListener(event, showEdges, true);
window.addEventListener("resize", showEdges);

// One stop of the Tab key for many items; arrows, Home and End move among them. `across` is how many are in a row.
function roving(box, across) {
  const items = [...box.querySelectorAll("[data-stop]")];
  items.forEach((item, i) => item.setAttribute("tabindex", i ? "-1" : "0"));
  const byPlace = new Map(items.map((item) => [item.dataset.stop, item]));
  box.onkeydown = (event) => {
    const now = event.target.closest("[data-stop]");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!now || (!step && event.key !== "Home" && event.key !== "End")) return;
    let next = event.key === "Home" ? items[0] : items[items.length - 1];
    if (step) {
      let [row, column] = now.dataset.stop.split(",").map(Number);
      if (!across) [row, column] = [0, row + column];
      next = null;
      for (let tries = 0; tries < 500 && !next; tries += 1) {
        if (across) { row += step[0]; column += step[1]; } else column += step[0] + step[1];
        if (row < 0 || column < 0) break;
        next = byPlace.get(`${row},${column}`);
      }
    }
    event.preventDefault();
    if (!next) return;
    now.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  };
}

// Ticks at round numbers that cover low to high.
function ticks(low, high, most) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const values = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) values.push(at * step);
  return { values, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

// A chart's frame: axes, grid and labels in `parts`, and the place of values in it (`x` and `y`).
// `marks` are ticks below as [value, text], else round numbers; the ranges are [low, high].
function chart({ width, height, across, tall, below, beside, marks }) {
  const [left, bottom, top, right] = [62, 46, 14, 16];
  const x = (value) => left + ((value - across[0]) / (across[1] - across[0])) * (width - left - right);
  const y = (value) => height - bottom - ((value - tall[0]) / (tall[1] - tall[0])) * (height - bottom - top);
  const ys = ticks(...tall, 5);
  const parts = ys.values.flatMap((at) => [
    svg("line", { class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at) }),
    svg("text", { x: left - 6, y: y(at) + 4, "text-anchor": "end" }, fixed(at, ys.digits))]);
  const xs = ticks(...across, 6);
  let last = -Infinity;
  for (const [at, text] of marks || xs.values.map((value) => [value, fixed(value, xs.digits)])) {
    if (x(at) - last < 7 * text.length + 4) continue; // labels do not touch
    last = x(at);
    parts.push(svg("line", { class: "grid", x1: last, x2: last, y1: top, y2: height - bottom }),
      svg("text", { x: last, y: height - bottom + 16, "text-anchor": "middle" }, text));
  }
  parts.push(svg("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }),
    svg("text", { x: (left + width - right) / 2, y: height - 9, "text-anchor": "middle" }, below),
    svg("text", { transform: `translate(14 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, beside));
  return { parts, x, y, top, bottom: height - bottom };
}

// Low and high of values, with some room.
function bounds(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - room, high + room];
}
