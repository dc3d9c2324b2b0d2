// What an adapter gains (paper Tables 4 and 5, Fig. 7 and 9).

function renderAdapters(root) {
  const gains = analysis.bd.filter((r) => r.baseline === NO_ADAPTER);
  const against = analysis.bd.filter((r) => r.baseline !== NO_ADAPTER && r.adapter);
  const adapters = adaptersOf(state.vlm);
  root.hidden = gains.length === 0 && adapters.length === 0;
  if (root.hidden) return;
  root.replaceChildren(
    ...sectionHead("What the adapter gains",
      "BD-Metric of the curve with the adapter against the same codec's curve without it, over the rates both share. Above zero is a gain. The curves are in the section above, with the adapter chosen there."),
    ...(gains.length ? bdTable(gains, "BD gain of an adapter against none, per VLM, task and codec").filter(Boolean) : []),
    gains.length ? tintKey(gains.some((r) => r.bd?.value < 0) && "lost", "gained, up to 50 % of the uncompressed score",
      [h("b", { class: "best" }, "interval excludes zero"), h("span", { class: "muted" }, "interval holds zero")]) : "",
    against.length ? h("details", { class: "more" }, h("summary", null, "BD-Metric against uncompressed, with the adapter"),
      ...bdTable(against, "BD-Metric against uncompressed, with an adapter").filter(Boolean)) : "");
}
