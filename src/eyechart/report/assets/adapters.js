// What an adapter gains (paper Tables 4 and 5, Fig. 7 and 9).

function renderAdapters(root) {
  const gains = analysis.bd.filter((r) => r.baseline === NO_ADAPTER);
  const against = analysis.bd.filter((r) => r.baseline !== NO_ADAPTER && r.adapter);
  const adapters = adaptersOf(state.vlm);
  root.hidden = gains.length === 0 && adapters.length === 0;
  if (root.hidden) return;
  const charts = adapters.map((adapter) => {
    const panels = curvePanels(state.vlm, (curve) => curve.adapter === "" || curve.adapter === adapter);
    return [
      h("h3", null, `${state.vlm} with ${adapter}`),
      h("div", { class: "panels" }, panels.map((panel) => {
        const pairs = panel.curves.filter((curve) => curve.adapter === adapter)
          .map((adapted) => [panel.curves.find((base) => !base.adapter && base.codec === adapted.codec), adapted])
          .filter(([base]) => base);
        return pairs.length ? lineChart({ ...panel, curves: pairs.flat(), gains: pairs, bands: false }) : null;
      })),
    ];
  });
  root.replaceChildren(
    ...sectionHead("What the adapter gains",
      "BD-Metric of the curve with the adapter against the same codec's curve without it, over the rates both share. Above zero is a gain."),
    ...(gains.length ? bdTable(gains, "BD gain of an adapter against none, per VLM, task and codec").filter(Boolean) : []),
    gains.length ? tintKey(gains.some((r) => r.bd?.value < 0) && "lost", "gained, up to 50 % of the uncompressed score",
      [h("b", { class: "best" }, "interval excludes zero"), h("span", { class: "muted" }, "interval holds zero")]) : "",
    against.length ? h("details", { class: "more" }, h("summary", null, "BD-Metric against uncompressed, with the adapter"),
      ...bdTable(against, "BD-Metric against uncompressed, with an adapter").filter(Boolean)) : "",
    ...charts.flat());
}
