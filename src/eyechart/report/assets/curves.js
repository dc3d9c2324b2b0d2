// Rate-metric curves (paper Fig. 4, 7, 9): one panel for each task, without or with an adapter.

// The rate axes: one for all panels unless a task would use only a small part of it. A linear axis
// starts at 0 unless that would leave more than half of it empty.
function rateLimits(panels) {
  const rates = panels.map((panel) => panel.curves.flatMap((curve) => curve.cells.map(rateOf)));
  const [low, high] = [rates.map((own) => Math.min(...own)), rates.map((own) => Math.max(...own))];
  const [least, most] = [Math.min(...low), Math.max(...high)];
  const shared = high.every((rate) => rate > most / 2.5) && low.every((rate) => rate < 4 * least || state.logRate);
  return rates.map((_, i) => {
    const [from, to] = shared ? [least, most] : [low[i], high[i]];
    if (state.logRate) return [from / 1.15, to * 1.15];
    return [from > to / 2 ? from - 0.15 * (to - from || from) : 0, to * 1.03 + (to - from || to) * 0.03];
  });
}

// The panels of the codecs that are shown; a hidden one takes no room.
function curvePanels(vlm, keep) {
  const shown = (curve) => !state.hidden.has(curve.codec) && keep(curve);
  const panels = tasks.map((task) => ({
    task, curves: curvesOf(vlm, task).filter(shown), ceiling: ceilingOf(vlm, task),
  })).filter((panel) => panel.curves.length);
  const limits = rateLimits(panels);
  return panels.map((panel, i) => ({ ...panel, xMin: limits[i][0], xMax: limits[i][1], title: panel.task, note: metricName(panel.task) }));
}

// With an adapter: its curves dashed beside those without, and the area between them.
function adapterPanel(panel, adapter) {
  const pairs = panel.curves.filter((curve) => curve.adapter === adapter)
    .map((adapted) => [panel.curves.find((base) => !base.adapter && base.codec === adapted.codec), adapted])
    .filter(([base]) => base);
  return { ...panel, gains: pairs, bands: false };
}

function curveControls() {
  const adapters = adaptersOf(state.vlm);
  const log = h("button", { type: "button", "aria-pressed": String(state.logRate), onclick: () => { state.logRate = !state.logRate; renderAll(); writeLink(); } }, "Logarithmic rate");
  const choice = adapters.length ? h("select", { "aria-label": "Adapter", onchange: () => { state.adapter = choice.value; renderCurves($("curves")); writeLink(); } },
    h("option", { value: "" }, "without an adapter"), adapters.map((adapter) => h("option", { value: adapter, selected: adapter === state.adapter }, `with ${adapter}`))) : null;
  return h("p", { class: "choice controls" }, log, choice);
}

function renderCurves(root) {
  const adapter = adaptersOf(state.vlm).includes(state.adapter) ? state.adapter : "";
  const panels = curvePanels(state.vlm, (curve) => curve.adapter === "" || curve.adapter === adapter);
  root.hidden = panels.length === 0;
  if (root.hidden) return;
  root.replaceChildren(
    ...sectionHead(axis.name === "bpp" ? "Score over rate" : `Score over ${axis.column}`,
      `${state.vlm}. Each marker is one level of a codec${analysis.bootstrap_samples > 0 && !adapter ? "; the band is its 95 % bootstrap interval over images" : ""}. `,
      adapter ? `Dashed lines with open markers: with the adapter ${adapter}; the area is its gain. ` : "",
      "Point at a marker, or focus a chart and use the arrow keys; click a chart to see it large."),
    curveControls(),
    h("div", { class: "panels" }, panels.map((panel) => lineChart(adapter ? adapterPanel(panel, adapter) : panel))));
}
