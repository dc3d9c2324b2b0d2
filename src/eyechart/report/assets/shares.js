// BD-Metric in percent of the uncompressed score, which is comparable between tasks: as bars without
// and with an adapter (paper Fig. 1), and as a radar with a table (Fig. 3b).

// A BD-Metric with its interval, in percent.
function shareOf(result) {
  const ceiling = result && ceilingOf(result.vlm, result.task);
  if (!result?.bd || !(ceiling?.score.value > 0)) return null;
  const scale = 100 / ceiling.score.value;
  return { value: scale * result.bd.value, low: scale * result.bd.low, high: scale * result.bd.high };
}

const againstUncompressed = (vlm, adapter = "") => analysis.bd.filter((r) => r.vlm === vlm && r.adapter === adapter
  && r.baseline !== NO_ADAPTER && !state.hidden.has(r.codec) && shareOf(r));

const LEAST_SPAN = 1; // percent, of the axis of the bars where almost nothing is lost

const shareTicks = (value) => `${number(value, 1)}\u00a0%`;

function bar(found, place, width, y, result) {
  const [top, bottom] = [y(Math.max(0, found.value)), y(Math.min(0, found.value))];
  const middle = place + width / 2;
  return s("g", { class: `bd-bar ${codecClass(result.codec)}${result.adapter ? " adapted" : ""}`, "data-codec": result.codec,
    onpointerleave: hideTooltip, onpointerenter: (event) => showTooltip(event.clientX, event.clientY,
      h("div", { class: `tip-title ${codecClass(result.codec)}` }, h("i", { class: "dot" }), codecName(result.codec), result.adapter ? `, ${result.adapter}` : ""),
      line("of the uncompressed score", shareTicks(found.value)), intervalText(found) ? line("95 % interval", intervalText(found)) : null) },
    s("rect", { x: place, width, y: top, height: Math.max(0.5, bottom - top) }),
    found.low === found.high ? null : s("path", { class: "whisker", d: `M${middle},${y(found.low)}V${y(found.high)}` }));
}

// panel: { task, rows: [{ codec, results }], low, high }; one bar for each result, without an adapter first.
function barChart(panel, tools = true) {
  const { width, left, right } = FRAME;
  const [height, top, bottom] = [206, 8, 48];
  const y = (value) => top + ((height - top - bottom) * (panel.high - value)) / (panel.high - panel.low);
  const ys = niceTicks(panel.low, panel.high, 5);
  const step = (width - left - right) / panel.rows.length;
  const thick = Math.min(22, (0.8 * step) / Math.max(...panel.rows.map((row) => row.results.length)));
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${panel.task}: BD-Metric in percent of the uncompressed score. ${panel.rows.flatMap((row) => row.results).map((r) => `${codecName(r.codec)}${r.adapter ? ` with ${r.adapter}` : ""} ${number(shareOf(r).value)} %`).join(", ")}` },
    ys.ticks.map((tick) => [s("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      s("text", { class: "tick", x: left - 7, y: y(tick) + 3.5, "text-anchor": "end" }, `${number(tick, ys.digits)} %`)]),
    panel.rows.map((row, i) => {
      const from = left + step * (i + 0.5) - (thick * row.results.length) / 2;
      return [row.results.map((result, k) => bar(shareOf(result), from + k * thick + 0.5, thick - 1, y, result)),
        s("text", { class: "tick", "text-anchor": "end", transform: `translate(${left + step * (i + 0.5) + 4},${height - bottom + 14}) rotate(-28)` }, codecName(row.codec))];
    }),
    s("line", { class: "axis", x1: left, x2: width - right, y1: y(0), y2: y(0) }));
  return h("figure", { class: "panel" }, h("figcaption", null, h("b", null, panel.task), h("span", null, "% of uncompressed")), svg,
    tools ? chartTools(svg, `${panel.task}, BD-Metric in percent of uncompressed`, () => barChart(panel, false)) : null);
}

function barPanels(adapter) {
  const found = [...againstUncompressed(state.vlm), ...(adapter ? againstUncompressed(state.vlm, adapter) : [])];
  const ends = found.map(shareOf).flatMap((share) => [share.value, share.low, share.high]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const pad = padOf(low, high, 0.05, LEAST_SPAN);
  return tasks.map((task) => ({
    task, low: low - pad, high: high + pad,
    rows: shownCodecs().map((codec) => ({ codec, results: found.filter((r) => r.task === task && r.codec === codec) })).filter((row) => row.results.length),
  })).filter((panel) => panel.rows.length);
}

function shareTable(found, columns) {
  const caption = "BD-Metric in percent of the uncompressed score";
  const cell = (result) => {
    const share = shareOf(result);
    if (!share) return h("td", { class: "none" }, "\u2013");
    return h("td", { class: "bd", vars: tint(result, ceilingOf(result.vlm, result.task)) }, h("span", { class: "value" }, signed(share.value)), h("small", null, intervalText(share, signed)));
  };
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: "pair-table" }, h("caption", { class: "sr" }, caption),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Task"), columns.map((codec) => h("th", { scope: "col", class: `num ${codecClass(codec)}` }, h("i", { class: "dot" }), codecName(codec))))),
      h("tbody", null, tasks.filter((task) => found.some((r) => r.task === task)).map((task) => h("tr", null, h("th", { scope: "row" }, task),
        columns.map((codec) => cell(found.find((r) => r.task === task && r.codec === codec))))))));
}

function renderShares(root) {
  const found = againstUncompressed(state.vlm);
  root.hidden = found.length === 0;
  if (root.hidden) return;
  const adapters = adaptersOf(state.vlm);
  const adapter = adapters.includes(state.adapter) ? state.adapter : adapters[0] || "";
  const columns = shownCodecs().filter((codec) => found.some((r) => r.codec === codec));
  const radars = columns.length < 3 ? [] : shapeLimits([{
    title: state.vlm, note: "% of uncompressed", names: columns.map(codecName),
    shapes: tasks.filter((task) => found.some((r) => r.task === task)).map((task) => ({
      name: task, values: columns.map((codec) => shareOf(found.find((r) => r.task === task && r.codec === codec))?.value ?? null) })),
  }], 0);
  root.replaceChildren(
    ...sectionHead("What each codec costs, by task",
      "BD-Metric in percent of the uncompressed score, so that tasks of different units are comparable. Each codec is over its own rates, so this ranks no codecs. ",
      adapter ? `Filled bars: without an adapter; outlined: with ${adapter}. ` : "", analysis.bootstrap_samples > 0 ? "Whiskers: 95 % intervals." : ""),
    h("div", { class: "panels" }, barPanels(adapter).map((panel) => barChart(panel)), radars.map((panel) => shapeRadar(panel))),
    shareTable(found, columns));
}
