// Image coding for machines (paper Table 6): codecs adapted to a VLM beside their base codec.

function icmRow(row, against, notes) {
  const ceiling = ceilingOf(row.vlm, row.task);
  const whole = against.find((r) => r.task === row.task && r.codec === row.codec && r.adapter === row.adapter);
  return h("tr", { "data-codec": row.codec },
    h("th", { scope: "row", class: codecClass(row.codec) }, h("i", { class: "dot" }), codecName(row.codec),
      row.adapter && h("small", null, `with ${row.adapter}`)),
    bdCell({ ...row, baseline: NO_ADAPTER }, ceiling, row.bd && certainty(row.bd), notes),
    bdCell(whole, ceiling, null, notes));
}

function renderIcm(root) {
  const rows = (analysis.icm || []).filter((row) => row.vlm === state.vlm);
  root.hidden = rows.length === 0;
  if (root.hidden) return;
  const against = analysis.bd.filter((r) => r.vlm === state.vlm && r.baseline !== NO_ADAPTER);
  const [shown, adapters] = [unique(rows.map((row) => row.codec)), unique(rows.map((row) => row.adapter))];
  const panels = curvePanels(state.vlm, (curve) => shown.includes(curve.codec) && adapters.includes(curve.adapter))
    .filter((panel) => rows.some((row) => row.task === panel.task));
  const bases = unique(rows.map((row) => row.base));
  const named = bases.map(codecName).join(", ");
  const adapted = shown.filter((codec) => !bases.includes(codec)).map(codecName).join(", ");
  const notes = footnotes();
  const caption = "BD-Metric of codecs for machines over their base codec";
  const table = h("table", { class: "icm-table" }, h("caption", { class: "sr" }, caption),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Codec"), h("th", { scope: "col", class: "num" }, `over ${named}`),
      h("th", { scope: "col", class: "num" }, "against uncompressed"))),
    tasks.filter((task) => rows.some((row) => row.task === task)).map((task) => h("tbody", null,
      h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: 3 }, task, h("small", null, metricName(task)))),
      rows.filter((row) => row.task === task).map((row) => icmRow(row, against, notes)))));
  root.replaceChildren(
    ...sectionHead("Image coding for machines",
      `${adapted} is ${named}, adapted to what a VLM sees; an adapter adapts the VLM instead. The first column is the mean difference from ${named} without an adapter, over the rates both share.`,
      adapters.length > 1 ? " Dashed lines: with the adapter." : ""),
    h("div", { class: "icm" },
      h("div", null, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table), notes.list()),
      h("div", { class: "panels" }, panels.map((panel) => lineChart(panel)))));
}
