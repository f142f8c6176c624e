"use strict";
// The matrix of models and the scatter of alignment against performance.

const MEASURES = { score: "score", above: "above chance", calibrated: "calibrated score" };

// Rows and columns of a group's matrix: the two sides, or all models with all where one modality is on both.
function matrixAxes(one) {
  const seen = [new Set(), new Set()];
  const cells = new Map();
  const put = (row, column, entry) => {
    seen[0].add(row);
    seen[1].add(column);
    cells.set(`${row},${column}`, entry);
  };
  const entries = rowsOf(one, one.rankings[one.rankings.length - 1]).map((row) => row.entry);
  const apart = entries.every((entry) => DATA.models[entry.x].modality !== DATA.models[entry.y].modality);
  for (const entry of entries) {
    const turned = one.symmetric && apart && DATA.models[entry.x].modality < DATA.models[entry.y].modality;
    put(turned ? entry.y : entry.x, turned ? entry.x : entry.y, entry);
    if (one.symmetric && !apart) put(entry.y, entry.x, entry);
  }
  const order = (a, b) => {
    const [first, second] = [DATA.models[a], DATA.models[b]];
    return first.family.localeCompare(second.family) || (first.params || 0) - (second.params || 0) ||
      first.name.localeCompare(second.name);
  };
  return { rows: [...seen[0]].sort(order), columns: [...seen[1]].sort(order), cells };
}

function showMatrix(one) {
  const { rows, columns: across, cells } = matrixAxes(one);
  const values = [...cells.values()].map((entry) => entry[state.measure]).filter((value) => value !== null);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
  const share = (value) => (high > low ? (value - low) / (high - low) : 0.5);
  const head = across.map((at) => el("th", { scope: "col" }, mark(DATA.models[at].family), DATA.models[at].name));
  const body = rows.map((row, i) => {
    const line = across.map((column, j) => {
      const entry = cells.get(`${row},${column}`);
      const value = entry ? entry[state.measure] : null;
      if (!entry) return el("td", {}, el("span", { "aria-label": "not scored" }, "·"));
      const names = `${DATA.models[row].name} × ${DATA.models[column].name}`;
      const link = el("a", { href: `${entry.page}#${here}`, "data-stop": `${i},${j}`, title: names }, fixed(value, 3));
      const box = el("td", {}, link);
      if (value !== null) {
        const colour = viridis(share(value));
        box.style.background = colour.fill;
        box.style.color = colour.ink;
      }
      return box;
    });
    return el("tr", {}, el("th", { scope: "row" }, mark(DATA.models[row].family), DATA.models[row].name), ...line);
  });
  const box = byId("matrix");
  box.replaceChildren(el("table", { class: "matrix" },
    el("caption", {}, `Every pair of models in this group: ${MEASURES[state.measure]} (${one.metric_title}, N = ${one.n}); ` +
      "filters do not apply. Arrow keys move among the cells, Enter opens the pair."),
    el("thead", {}, el("tr", {}, el("td", {}), ...head)), el("tbody", {}, ...body)));
  byId("ramp").replaceChildren(fixed(low, 3), el("span", { class: "ramp", "aria-hidden": "true" }), fixed(high, 3));
  roving(box, true);
  showEdges();
}

// Ends of the line of least squares through five points or more, sorted by x; null for fewer.
function fittedLine(points) {
  if (points.length < 5) return null;
  const mean = (at) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  if (!spread) return null;
  const slope = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
  return [points[0][0], points[points.length - 1][0]].map((at) => [at, y + slope * (at - x)]);
}

function showScatter(rows) {
  const box = byId("scatter");
  const known = rows.filter((row) => row.performance !== null && row.entry[state.measure] !== null);
  if (known.length < 1) {
    const why = ranking().model === ALL ? "" :
      " Models that have one (text models with a loss, and all that were probed) are compared when a vision model is the reference, or with all pairs.";
    box.replaceChildren(el("p", {}, `No model here has a known performance.${why}`));
    return;
  }
  const [width, height] = [820, 460];
  const raw = state.measure === "score";
  const units = [...new Set(known.map((row) => row.unit))].join(", ");
  const trivial = group().trivial ? group().trivial[state.measure] : null; // best score of baselines
  const frame = chart({ width, height, across: bounds(known.flatMap((row) => (raw && row.entry.low !== null
    ? [row.entry.low, row.entry.high] : [row.entry[state.measure]])).concat(trivial === null ? [] : [trivial])),
  tall: bounds(known.map((row) => row.performance)),
  below: `${MEASURES[state.measure]} (${group().metric_title})`,
  beside: units + (units === "bits per byte" ? " (lower is better)" : "") });
  const { parts } = frame;
  known.sort((a, b) => a.entry[state.measure] - b.entry[state.measure]);
  if (trivial !== null) {
    const at = frame.x(trivial);
    const end = at > width * 0.75;
    parts.push(svg("line", { class: "trivial", x1: at, x2: at, y1: frame.top, y2: frame.bottom }),
      svg("text", { x: at + (end ? -5 : 5), y: frame.top + 10, "text-anchor": end ? "end" : "start" }, "best trivial pair"));
  }
  const models = known.filter((row) => row.model.family !== "baseline" && row.other.family !== "baseline");
  const line = ranking().model === ALL ? null : fittedLine(models.map((row) => [row.entry[state.measure], row.performance]));
  if (line) parts.push(svg("path", { class: "fitted", d: `M${line.map(([x, y]) => `${frame.x(x)} ${frame.y(y)}`).join("L")}` }));
  known.forEach((row, i) => {
    const [x, y] = [frame.x(row.entry[state.measure]), frame.y(row.performance)];
    if (raw && row.entry.low !== null) {
      parts.push(svg("line", { class: "whisker", x1: frame.x(row.entry.low), x2: frame.x(row.entry.high), y1: y, y2: y }));
    }
    const name = ranking().model === ALL ? `${row.model.name} × ${row.other.name}` : row.model.name;
    const summary = `${name}: ${MEASURES[state.measure]} ${fixed(row.entry[state.measure], 4)}, ${fixed(row.performance, 3)} ` +
      unitOf(row);
    const { colour, path } = DATA.families[row.measured.family];
    parts.push(svg("a", { href: `${row.entry.page}#${here}`, "data-stop": `0,${i}`, "aria-label": summary },
      svg("path", { d: path, fill: colour, stroke: "currentColor", "stroke-width": 0.8,
        transform: `translate(${x} ${y}) scale(1.1)` }), svg("title", {}, summary)));
    if (known.length <= 12) {
      const end = x > width * 0.75;
      parts.push(svg("text", { x: x + (end ? -9 : 9), y: y + 4, "text-anchor": end ? "end" : "start", "aria-hidden": "true" },
        name.length > 36 ? `${name.slice(0, 35)}…` : name));
    }
  });
  const label = `Scatter of ${known.length} ${known.length === 1 ? "row" : "rows"}: ${units} against ${MEASURES[state.measure]}`;
  const all = ranking().rows.length;
  const correlation = ranking().rho[state.measure];
  const rho = correlation === undefined ? "" :
    ` ${correlation.replace(/^ρ/, "Spearman's ρ")}${known.length < all ? ` (of all ${all} ${ranking().model === ALL ? "pairs" : "models"})` : ""}.`;
  box.replaceChildren(el("p", { class: "dim" }, `${label}${raw ? ", with intervals" : ""}.` +
    `${line ? " Line: least squares." : ""}${rho} Arrow keys move among the marks, Enter opens the pair.`),
  el("div", { class: "wide" }, svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group",
    "aria-label": label }, ...parts)));
  roving(box, false);
  showEdges();
}
