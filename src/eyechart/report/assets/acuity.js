// The acuity chart: the smallest letters that are read over the rate, and the letters themselves as
// each codec leaves them.

const ACUITY = "letters 1, px"; // of the task Acuity: height of the smallest letters that are read

// A cell with its acuity as the score; null without one. A bound of 0 is an open end.
function acuityCell(cell) {
  const value = cell.metrics[ACUITY];
  if (!value) return null;
  const [low, high] = [cell.metrics[`${ACUITY}, from`] || value, cell.metrics[`${ACUITY}, to`] || value];
  return { ...cell, score: { value, low, high }, loss: null, metric: "smallest letters read, px" };
}

function acuityText(cell) {
  const found = cell && acuityCell(cell);
  if (!found) return "threshold outside 6 to 42 px";
  return `reads from ${number(found.score.value)} px ${intervalText(found.score)}`;
}

function acuityPanel(task) {
  const curves = curvesOf(state.vlm, task)
    .filter((curve) => !curve.adapter && !state.hidden.has(curve.codec))
    .map((curve) => ({ ...curve, cells: curve.cells.map(acuityCell).filter(Boolean) }))
    .filter((curve) => curve.cells.length);
  const plain = ceilingOf(state.vlm, task);
  const ceiling = plain && acuityCell(plain);
  if (!curves.length) return null;
  const [limits] = rateLimits([{ curves }]);
  return lineChart({ title: "Acuity", note: "smallest letters read, px", curves, ceiling, xMin: limits[0], xMax: limits[1] });
}

function sampleFigure(view) {
  const cell = analysis.cells.find((c) => c.vlm === state.vlm && c.task === view.task && c.codec === view.codec && c.level === view.level && !c.adapter);
  const level = view.codec === SOURCE ? "" : ` ${view.level}`;
  return h("figure", { class: `panel sample ${codecClass(view.codec)}`, "data-codec": view.codec },
    h("img", { src: `data:image/png;base64,${picture(view)}`, alt: `Rows of letters, ${codecName(view.codec)}${level}` }),
    h("figcaption", null, h("b", null, h("i", { class: "dot" }), `${codecName(view.codec)}${level}`), h("span", null, `${bpp(view.bpp)} bpp`)),
    h("p", { class: "muted" }, acuityText(cell)));
}

function renderAcuity(root) {
  const views = (analysis.samples || []).filter((view) => taskInfo.has(view.task) && cellsOf(state.vlm, view.task).some((c) => ACUITY in c.metrics));
  root.hidden = views.length === 0;
  if (root.hidden) return;
  const shown = views.filter((view) => view.codec === SOURCE || !state.hidden.has(view.codec))
    .sort((a, b) => (b.codec === SOURCE) - (a.codec === SOURCE));
  root.replaceChildren(
    ...sectionHead("How small may letters be?",
      `${state.vlm}. Rows of three letters, 42 to 6 pixels high, as each codec leaves them, and the smallest height that is read: halfway between guessing and the share of large letters, with its 95 % interval. Less is better.`),
    h("div", { class: "panels" }, unique(views.map((view) => view.task)).map(acuityPanel).filter(Boolean)),
    h("div", { class: "panels samples" }, shown.map(sampleFigure)));
}
