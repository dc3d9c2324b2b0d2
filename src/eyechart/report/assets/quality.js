// Quality metrics against scores (paper Fig. 6): over all cells, within and between codecs.

const QUALITY_SCOPES = [
  ["all cells", "Over all levels of all codecs"],
  ["within codecs", "Within codecs: the levels of each codec around its mean"],
  ["between codecs", "Between codecs: each codec is one point, the mean of its levels"],
];
const metricLabel = (one) => (one.negated ? `${MINUS}${one.metric}` : one.metric);

function correlationCell(one) {
  if (!one || !one.pearson) return h("td", { class: "none" }, "\u2013");
  const { value } = one.pearson;
  const known = certainty(one.pearson); // three codecs give any correlation by chance
  const cell = h("td", { class: `bd ${known}`, vars: { "--tint": value > 0 ? "var(--win)" : "var(--loss)", "--depth": known === "sure" ? (0.4 * Math.abs(value)).toFixed(2) : "0" } },
    h("span", { class: "value" }, number(value, 2)), h("small", null, one.spearman ? number(one.spearman.value, 2) : "\u2013"));
  const two = (x) => number(x, 2);
  return explain(cell, () => [
    h("div", { class: "tip-title" }, `${metricLabel(one)} and ${one.task}`),
    line("Pearson", `${two(value)} ${intervalText(one.pearson, two)}`),
    one.spearman && line("Spearman", `${two(one.spearman.value)} ${intervalText(one.spearman, two)}`),
    line("points", String(one.points)),
  ].filter(Boolean));
}

function correlationTable(own, scope, about) {
  const found = own.filter((one) => one.scope === scope);
  if (!found.length) return null;
  const points = found.map((one) => one.points);
  const [least, most] = [Math.min(...points), Math.max(...points)];
  const caption = `${about} (${least < most ? `${least} to ` : ""}${plural(most, "point")})`;
  const [metrics, shown] = [unique(own.map(metricLabel)), tasks.filter((task) => own.some((one) => one.task === task))];
  const table = h("table", { class: "pair-table" }, h("caption", { class: "sr" }, caption),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Metric"), shown.map((task) => h("th", { scope: "col", class: "num" }, task)))),
    h("tbody", null, metrics.map((metric) => h("tr", null, h("th", { scope: "row" }, metric),
      shown.map((task) => correlationCell(found.find((one) => one.task === task && metricLabel(one) === metric)))))));
  return [h("h3", null, caption), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table)];
}

// The same columns as the CSV file of `eyechart figure 6`.
function correlationCsv() {
  const bounds = (interval) => (interval ? [interval.value, interval.low, interval.high] : ["", "", ""]);
  const quoted = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : value);
  const columns = ["vlm", "task", "metric", "scope", "points", "pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high"];
  const rows = analysis.correlations.map((one) => [one.vlm, one.task, metricLabel(one), one.scope, one.points, ...bounds(one.pearson), ...bounds(one.spearman)]);
  return [columns, ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

function renderQuality(root) {
  const own = (analysis.correlations || []).filter((one) => one.vlm === state.vlm);
  root.hidden = own.length === 0;
  if (root.hidden) return;
  const negated = own.some((one) => one.negated) ? ` A metric with ${MINUS} was negated, because less of it is better.` : "";
  root.replaceChildren(
    ...sectionHead("Quality metrics and scores",
      `How far the mean of a quality metric and the score of a task rise together: Pearson's correlation, and Spearman's in small digits. Bold and coloured are those whose 95 % interval excludes zero.${negated}`),
    ...QUALITY_SCOPES.map(([scope, caption]) => correlationTable(own, scope, caption)).flat().filter(Boolean),
    h("p", null, downloadLink("correlations.csv", "text/csv", correlationCsv)));
}
