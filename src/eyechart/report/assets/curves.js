// Rate-metric curves (paper Fig. 4): one panel for each task.

// Panels share the rate axis unless a task would use only a small part of it.
function rateLimits(panels) {
  const own = panels.map((panel) => Math.max(...panel.curves.flatMap((curve) => curve.cells.map((c) => c.bpp))) * 1.06);
  const widest = Math.max(...own);
  return own.every((limit) => limit > widest / 2.5) ? own.map(() => widest) : own;
}

function curvePanels(vlm, keep) {
  const panels = tasks.map((task) => ({
    task, curves: curvesOf(vlm, task).filter(keep), ceiling: ceilingOf(vlm, task),
  })).filter((panel) => panel.curves.length);
  const limits = rateLimits(panels);
  return panels.map((panel, i) => ({ ...panel, xMax: limits[i] || 1, title: panel.task, note: metricName(panel.task) }));
}

function renderCurves(root) {
  // One adapter is drawn with its base; several would be unreadable and have a separate section.
  const adapters = adaptersOf(state.vlm).slice(0, 2);
  const panels = curvePanels(state.vlm, (curve) => curve.adapter === "" || (adapters.length === 1 && curve.adapter === adapters[0]));
  root.hidden = panels.length === 0;
  if (root.hidden) return;
  root.replaceChildren(
    ...sectionHead("Score over rate",
      `${state.vlm}. Each marker is one level of a codec${analysis.bootstrap_samples > 0 ? "; the band is its 95 % bootstrap interval over images" : ""}. `,
      adapters.length === 1 ? `Dashed lines with open markers: with the adapter ${adapters[0]}. ` : "",
      "Point at a marker, or focus a chart and use the arrow keys."),
    h("div", { class: "panels" }, panels.map((panel) => lineChart(panel))));
}
