"use strict";
// The table: groups that may be compared, a reference, filters, sorting, pages.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const ALL = -1; // as a reference: all pairs

// Rows of a table in the data as objects: the names of the columns travel with the rows.
const records = ({ columns, rows }) =>
  rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
const ENTRIES = records(DATA.entries);

// The current selection; what differs from the default is stored in the URL.
const DEFAULTS = { query: "", family: "", modality: "", sort: "score", down: true, page: 0, size: 50, measure: "score" };
const state = { group: 0, ranking: 0, view: "table", ...DEFAULTS };
let here = ""; // its URL fragment; links to pairs carry it, and their back links return to it

// The rows of a ranking with everything that is searched and sorted, made when it is first shown.
function rowsOf(group, ranking) {
  if (!ranking.made) {
    ranking.made = records(ranking).map(({ entry: at, side, rank, last, q }) => {
      const entry = ENTRIES[at];
      const first = side || "x"; // all pairs: x, with y
      const second = first === "x" ? "y" : "x";
      const own = side || (entry.performance_y === null && entry.performance_x !== null ? "x" : "y");
      const model = DATA.models[entry[first]];
      const other = DATA.models[entry[second]];
      const words = [model.name, model.family, model.modality, model.precision, model.run];
      if (ranking.model === ALL) words.push(other.name, other.family, other.run);
      return { entry, rank, last, q, model, other, k: group.k, n: group.n, performance: entry[`performance_${own}`],
        unit: entry[`unit_${own}`], truncated: entry[`truncated_${own}`],
        measured: DATA.models[entry[own]],
        layers: `${entry[`layer_${first}`]} × ${entry[`layer_${second}`]}`,
        own: `${entry[`layer_${first}`]} of ${entry[`layers_${first}`]}`,
        others: `× ${entry[`layer_${second}`]} of ${entry[`layers_${second}`]}`,
        words: words.join("\n").toLowerCase() };
    });
  }
  return ranking.made;
}

// The interval with its score, on a scale that all rows of the ranking share.
function drawInterval({ entry }) {
  if (entry.low === null) return null;
  const shown = ranking();
  shown.scale ??= bounds(rowsOf(group(), shown).flatMap((row) =>
    [row.entry.score, row.entry.low, row.entry.high, row.entry.chance].filter((value) => value !== null)));
  const [low, high] = shown.scale;
  const [from, to, score, chance] = [entry.low, entry.high, entry.score, entry.chance].map((value) =>
    (value === null ? null : (100 * (value - low)) / (high - low)));
  return svg("svg", { class: "interval", viewBox: "0 0 100 10", "aria-hidden": "true" },
    chance === null ? null : svg("line", { class: "chance", x1: chance, x2: chance, y1: 0, y2: 10 }),
    svg("path", { class: "span", d: `M${from} 2V8M${from} 5H${to}M${to} 2V8` }),
    svg("circle", { class: "dot1", cx: score, cy: 5, r: 2.6 }));
}

// The unit of a performance; among all pairs also whose performance it is.
const unitOf = (row) => (ranking().model === ALL ? `${row.unit} of ${row.measured.name}` : row.unit);

const COLUMNS = [
  { key: "rank", name: "Rank", tip: "first and last that the intervals allow: 1 + those entirely above, all less those " +
    "entirely below", up: true, value: (r) => (r.rank === null ? null : r.rank + r.last / 1e6),
    show: (r) => (r.rank === null ? "–" : r.rank === r.last ? String(r.rank) : `${r.rank}–${r.last}`) },
  { key: "model", name: "Model", up: true, word: true, value: (r) => r.model.name.toLowerCase() },
  { key: "with", name: "With", up: true, word: true, pairs: true, value: (r) => r.other.name.toLowerCase(),
    show: (r) => r.other.name, kind: "word name" },
  { key: "score", name: "Score", tip: "raw", value: (r) => r.entry.score, show: (r) => fixed(r.entry.score, 4) },
  { key: "interval", name: "Interval", tip: "of the score at the layers picked; drawn on one scale for all rows, dotted: " +
    "chance level", value: (r) => r.entry.low, draw: drawInterval,
    show: (r) => (r.entry.low === null ? "–" : `${fixed(r.entry.low, 3)} – ${fixed(r.entry.high, 3)}`) },
  { key: "above", name: "Above chance", tip: "(s − c) / (1 − c)", value: (r) => r.entry.above,
    show: (r) => fixed(r.entry.above, 4) },
  { key: "calibrated", name: "Calibrated", tip: "0 up to the null's 95 % point", value: (r) => r.entry.calibrated,
    show: (r) => fixed(r.entry.calibrated, 4) },
  { key: "p", name: "p", up: true, value: (r) => r.entry.p, show: (r) => r.entry.p_text },
  { key: "q", name: "q", tip: "false discovery rate", up: true, value: (r) => r.q,
    show: (r) => (r.q === null ? "–" : String(Number(r.q.toPrecision(2)))) },
  { key: "performance", name: "Performance", up: true, value: (r) => r.performance, show: (r) => fixed(r.performance, 3),
    small: (r) => (r.performance === null ? "" : unitOf(r) + (r.truncated ? `, ${r.truncated} truncated` : "")) },
  { key: "params", name: "Parameters", value: (r) => r.model.params, show: (r) => r.model.count },
  { key: "precision", name: "Precision", up: true, word: true, value: (r) => r.model.precision || null,
    show: (r) => r.model.precision || "–" },
  { key: "family", name: "Family", up: true, word: true, value: (r) => r.model.family.toLowerCase(),
    show: (r) => r.model.family, small: (r) => r.model.modality },
  { key: "n", name: "N", value: (r) => r.n, show: (r) => String(r.n) },
  { key: "k", name: "k", value: (r) => r.k, show: (r) => (r.k === null ? "–" : String(r.k)) },
  { key: "layers", name: "Best layers", tip: "of all layers; the reference's below", up: true, word: true,
    value: (r) => r.layers, show: (r) => r.own, small: (r) => r.others, kind: "word layers" },
];

const group = () => DATA.groups[state.group];
const ranking = () => group().rankings[state.ranking];
const columns = () => COLUMNS.filter((column) => !column.pairs || ranking().model === ALL);

// Rows that pass the filters, sorted; rows without a value are last either way.
function chosenRows() {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = rowsOf(group(), ranking()).filter((row) => words.every((word) => row.words.includes(word)) &&
    (!state.family || row.model.family === state.family || (ranking().model === ALL && row.other.family === state.family)) &&
    (!state.modality || row.model.modality === state.modality ||
      (ranking().model === ALL && row.other.modality === state.modality)));
  const { value } = COLUMNS.find((column) => column.key === state.sort);
  const keyed = rows.map((row) => [value(row), row]);
  const sign = state.down ? -1 : 1;
  keyed.sort(([a, first], [b, second]) => {
    if (a === null || b === null) return (a === null) - (b === null) || second.entry.score - first.entry.score;
    return sign * (a < b ? -1 : a > b ? 1 : 0) || second.entry.score - first.entry.score;
  });
  return keyed.map(([, row]) => row);
}

function mark(family) {
  const { colour, path } = DATA.families[family];
  return svg("svg", { class: "mark", viewBox: "-6 -6 12 12", "aria-hidden": "true" },
    svg("path", { d: path, fill: colour, stroke: "currentColor", "stroke-width": 0.8 }));
}

function cell(column, row) {
  if (column.key === "model") {
    return el("th", { scope: "row" }, mark(row.model.family), el("a", { href: `${row.entry.page}#${here}` }, row.model.name));
  }
  const small = column.small ? column.small(row) : "";
  return el("td", { class: column.kind || (column.word ? "word" : null) }, column.show(row),
    small ? el("small", {}, small) : null, column.draw ? column.draw(row) : null);
}

function showTable(rows) {
  const head = columns().map((column) => {
    const sorted = column.key !== state.sort ? "none" : state.down ? "descending" : "ascending";
    const button = el("button", { type: "button", "data-sort": column.key, title: column.tip }, column.name);
    return el("th", { scope: "col", "aria-sort": sorted, class: column.word ? "word" : null }, button);
  });
  const pages = Math.max(1, Math.ceil(rows.length / state.size));
  state.page = Math.min(state.page, pages - 1);
  const start = state.page * state.size;
  const shown = rows.slice(start, start + state.size);
  const focused = document.activeElement && document.activeElement.dataset.sort;
  byId("head").replaceChildren(el("tr", {}, ...head));
  byId("body").replaceChildren(...shown.map((row) => el("tr", {}, ...columns().map((column) => cell(column, row)))));
  if (focused) byId("head").querySelector(`[data-sort="${focused}"]`).focus();
  const reference = ranking().model === ALL ? "All pairs" : `Alignment to ${ranking().name}`;
  byId("caption").textContent = `${reference}. ${group().metric_title}, N = ${group().n}.`;
  const all = ranking().rows.length;
  const what = ranking().model === ALL ? "pairs" : "models";
  byId("status").textContent = rows.length
    ? `${start + 1}–${start + shown.length} of ${rows.length} ${what}${rows.length < all ? ` (${all} without filters)` : ""}`
    : `No match among ${all} ${what}`;
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page >= pages - 1;
  showEdges();
}

let later = 0;

// The families on the page: those of the rows, in the matrix those of the whole group.
function showLegend() {
  const all = state.view === "matrix" || ranking().model === ALL;
  const rows = rowsOf(group(), state.view === "matrix" ? group().rankings[group().rankings.length - 1] : ranking());
  const names = new Set(rows.flatMap((row) => (all ? [row.model.family, row.other.family] : [row.model.family])));
  byId("legend").replaceChildren(...[...names].sort().map((name) => el("li", {}, mark(name), name)));
}

// Draw what is visible only: the table at once, pictures when typing pauses.
function update() {
  const rows = chosenRows();
  if (state.view === "table") { showTable(rows); return; }
  byId("status").textContent = "";
  clearTimeout(later);
  later = setTimeout(() => (state.view === "matrix" ? showMatrix(group()) : showScatter(rows)), 60);
}

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => el("option", { value }, text)));
  select.value = String(chosen);
}

// Update the choices after another group or reference was chosen.
function showChoices() {
  options(byId("metric"), [...new Map(DATA.groups.map((one) => [one.metric, one.metric_title]))], group().metric);
  options(byId("group"), DATA.groups.map((one, i) => [i, one, one.metric]).filter((one) => one[2] === group().metric)
    .map(([i, one]) => [i, `${one.entries} ${one.entries === 1 ? "pair" : "pairs"}: ${one.title}`]), state.group);
  options(byId("reference"), group().rankings.map((one, i) => [i, `${one.name} (${one.rows.length})`]), state.ranking);
  byId("conditions").replaceChildren(...group().parts.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
  byId("unknown").hidden = group().known;
  byId("trivial").hidden = !group().trivial;
  byId("trivial").textContent = group().trivial ? `Trivial pairs on the same samples reach: ${group().trivial.text}.` : "";
  byId("choice").hidden = byId("group").options.length < 2;
  const rows = rowsOf(group(), ranking());
  const seen = (key) => [...new Set(rows.flatMap((row) =>
    (ranking().model === ALL ? [row.model[key], row.other[key]] : [row.model[key]])))].sort();
  for (const key of ["family", "modality"]) {
    const values = seen(key);
    if (!values.includes(state[key])) state[key] = "";
    options(byId(key), [["", "all"], ...values.map((name) => [name, name])], state[key]);
  }
  byId("unranked").hidden = rows.every((row) => row.rank !== null);
}

// With `step`, Back returns to the view, group or reference before this one.
function choose(changes, step = true) {
  const other = "group" in changes || "ranking" in changes;
  Object.assign(state, { page: 0 }, changes);
  if (other) showChoices();
  if (other || "view" in changes) showLegend();
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const on = tab.dataset.view === state.view;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    byId(`view-${tab.dataset.view}`).hidden = !on;
  }
  here = address();
  update();
  clearTimeout(saving);
  if ("query" in changes) saving = setTimeout(() => saveAddress(), 150); // browsers refuse a change with every key
  else saveAddress(step && (other || "view" in changes));
}

let saving = 0;

function saveAddress(step = false) {
  clearTimeout(saving);
  if (location.hash.slice(1) !== here) history[step ? "pushState" : "replaceState"](null, "", `#${here}`);
}

function address() {
  const place = new URLSearchParams({ group: group().id, reference: ranking().run, view: state.view });
  if (ranking().side) place.set("side", ranking().side);
  for (const [key, usual] of Object.entries(DEFAULTS)) {
    if (state[key] !== usual) place.set(key, state[key]);
  }
  return String(place);
}

// Read the selection from the URL; what is absent or unknown takes its default.
function fromAddress() {
  const place = new URLSearchParams(location.hash.slice(1));
  const at = Math.max(0, DATA.groups.findIndex((one) => one.id === place.get("group")));
  const side = place.get("side") || "";
  const chosen = DATA.groups[at].rankings.findIndex((one) => one.run === place.get("reference") && one.side === side);
  const among = (key, values) => values.find((value) => String(value) === place.get(key)) ?? DEFAULTS[key];
  const read = { ...DEFAULTS, view: ["table", "matrix", "scatter"].includes(place.get("view")) ? place.get("view") : "table" };
  for (const key of ["query", "family", "modality"]) read[key] = place.get(key) || "";
  read.size = among("size", [...byId("size").options].map((one) => Number(one.value)));
  read.measure = among("measure", [...byId("measure").options].map((one) => one.value));
  read.sort = among("sort", COLUMNS.map((column) => column.key));
  read.down = among("down", [true, false]);
  read.page = Math.max(0, Number.parseInt(place.get("page"), 10) || 0);
  byId("search").value = read.query;
  for (const key of ["size", "measure"]) byId(key).value = String(read[key]);
  if (["family", "modality", "measure"].some((key) => read[key] !== DEFAULTS[key])) byId("filters").open = true;
  choose({ group: at, ranking: Math.max(0, chosen), ...read }, false);
}

function start() {
  byId("search").addEventListener("input", (event) => choose({ query: event.target.value }));
  byId("metric").addEventListener("change", (event) =>
    choose({ group: DATA.groups.findIndex((one) => one.metric === event.target.value), ranking: 0 }));
  byId("group").addEventListener("change", (event) => choose({ group: Number(event.target.value), ranking: 0 }));
  byId("reference").addEventListener("change", (event) => choose({ ranking: Number(event.target.value) }));
  for (const key of ["family", "modality"]) {
    byId(key).addEventListener("change", (event) => choose({ [key]: event.target.value }));
  }
  byId("measure").addEventListener("change", (event) => choose({ measure: event.target.value }));
  byId("size").addEventListener("change", (event) => choose({ size: Number(event.target.value) }));
  byId("head").addEventListener("click", (event) => {
    const key = event.target.dataset.sort;
    if (!key) return;
    const down = key === state.sort ? !state.down : !COLUMNS.find((column) => column.key === key).up;
    choose({ sort: key, down });
  });
  byId("previous").addEventListener("click", () => choose({ page: state.page - 1 }));
  byId("next").addEventListener("click", () => choose({ page: state.page + 1 }));
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose({ view: tab.dataset.view }));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      choose({ view: next.dataset.view });
      next.focus();
    });
  });
  document.addEventListener("click", () => saveAddress(), true); // before a link leads away
  window.addEventListener("hashchange", () => { // the link that skips to the table has no selection
    if (new URLSearchParams(location.hash.slice(1)).has("group")) fromAddress();
  });
  fromAddress();
}

if (DATA.groups.length) document.addEventListener("DOMContentLoaded", start);
