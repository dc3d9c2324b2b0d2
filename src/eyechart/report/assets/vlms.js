// All VLMs side by side: uncompressed scores (paper Fig. 10), scores under each codec (Fig. 20), and
// what each codec costs them (Fig. 3a).

const freeVlms = () => vlms.filter((vlm) => !choiceVlms.has(vlm));

// The mean score over a codec's own rates; under SOURCE the uncompressed score.
function meanScore(vlm, task, codec) {
  const best = ceilingOf(vlm, task)?.score.value;
  if (codec === SOURCE || !isNumber(best)) return best ?? null;
  const result = againstUncompressed(vlm).find((r) => r.task === task && r.codec === codec);
  return result ? best + result.bd.value : null;
}

// Axes are tasks; the rim is the best uncompressed score, the centre below the lowest score of all panels.
// A task where all VLMs score 0 has no axis.
function scorePanels(own) {
  const best = new Map(tasks.map((task) => [task, Math.max(...own.map((vlm) => meanScore(vlm, task, SOURCE) ?? 0))]));
  const panels = [SOURCE, ...shownCodecs()].map((codec) => {
    const names = tasks.filter((task) => best.get(task) > 0 && own.some((vlm) => meanScore(vlm, task, codec) !== null));
    const share = (vlm, task) => {
      const score = meanScore(vlm, task, codec);
      return score === null ? null : (100 * Math.max(0, score)) / best.get(task);
    };
    return {
      title: codecName(codec), codec: codec === SOURCE ? null : codec, note: "% of the best", names,
      shapes: own.map((vlm) => ({ name: vlm, values: names.map((task) => share(vlm, task)),
        tips: names.map((task) => line("score", number(meanScore(vlm, task, codec)))) })),
    };
  }).filter((panel) => panel.names.length >= 3);
  return shapeLimits(panels, 100);
}

function costPanels(own) {
  const found = own.flatMap((vlm) => againstUncompressed(vlm));
  const panels = tasks.map((task) => {
    const columns = shownCodecs().filter((codec) => found.some((r) => r.task === task && r.codec === codec));
    return { title: task, note: "% of uncompressed", names: columns.map(codecName),
      shapes: own.map((vlm) => ({ name: vlm, values: columns.map((codec) => shareOf(found.find((r) => r.vlm === vlm && r.task === task && r.codec === codec))?.value ?? null) })) };
  }).filter((panel) => panel.names.length >= 3);
  return panels.length ? shapeLimits(panels, 0) : [];
}

function vlmTable(own) {
  const caption = "Scores of all VLMs, uncompressed and as the mean over the rates of each codec";
  const columns = shownCodecs().filter((codec) => own.some((vlm) => tasks.some((task) => meanScore(vlm, task, codec) !== null)));
  const cell = (vlm, task, codec) => {
    const [score, best] = [meanScore(vlm, task, codec), meanScore(vlm, task, SOURCE)];
    if (score === null) return h("td", { class: "none" }, "\u2013");
    return h("td", { class: "num" }, number(score), codec === SOURCE || !best ? null : h("small", null, `${signed((100 * (score - best)) / best)}\u00a0%`));
  };
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: "pair-table" }, h("caption", { class: "sr" }, caption),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "VLM"), h("th", { scope: "col", class: "num" }, "uncompressed"),
        columns.map((codec) => h("th", { scope: "col", class: `num ${codecClass(codec)}` }, h("i", { class: "dot" }), codecName(codec))))),
      tasks.filter((task) => own.some((vlm) => meanScore(vlm, task, SOURCE) !== null)).map((task) => h("tbody", null,
        h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: columns.length + 2 }, task, h("small", null, metricName(task)))),
        own.map((vlm) => h("tr", null, h("th", { scope: "row" }, vlm), [SOURCE, ...columns].map((codec) => cell(vlm, task, codec))))))));
}

function renderVlms(root) {
  const own = freeVlms().filter((vlm) => tasks.some((task) => ceilingOf(vlm, task)));
  root.hidden = own.length < 2;
  if (root.hidden) return;
  const [scores, costs] = [scorePanels(own), costPanels(own)];
  root.replaceChildren(
    ...sectionHead("The VLMs side by side",
      "Scores on uncompressed images, and under each codec the mean over its own rates, without an adapter. Below a score: how far it is from the VLM's own uncompressed score."),
    vlmTable(own),
    ...(scores.length ? [h("h3", null, "Scores, in percent of the best uncompressed score; the centre is not 0"), h("div", { class: "panels" }, scores.map((panel) => shapeRadar(panel)))] : []),
    ...(costs.length ? [h("h3", null, "BD-Metric, in percent of the VLM's own uncompressed score"), h("div", { class: "panels" }, costs.map((panel) => shapeRadar(panel)))] : []));
}
