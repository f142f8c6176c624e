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

// Colour of a share between 0 and 1, and the ink that is read on it.
function viridis(share) {
  const at = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const low = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const rgb = VIRIDIS[low].map((value, i) => Math.round(value + (at - low) * (VIRIDIS[low + 1][i] - value)));
  const light = (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]) / 255;
  return { fill: `rgb(${rgb.join(",")})`, ink: light > 0.5 ? "#000" : "#fff" };
}

// Numbers as the rest of the project writes them; a dash where there is none.
function fixed(value, digits) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}

// One stop of the Tab key for many items; arrows, Home and End move among them. `across` is how many stand in a row.
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
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(at * step);
  return { values: found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}
