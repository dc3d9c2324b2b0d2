// The acuity chart: the smallest letters that are read over the rate, and the letters themselves as
// each codec leaves them. Which sizes a task measures, and of what, is data of the task.

const sizeOf = (task) => taskInfo.get(task)?.thresholds?.[0];
const smallestName = (size) => `smallest ${size.signs} read, ${size.unit}`;

// A cell with its smallest size as the score, as the page has it; null without one.
function acuityCell(cell) {
  const score = page.sizes[cell.key]?.smallest;
  return score ? { ...cell, score, loss: null, metric: smallestName(sizeOf(cell.task)) } : null;
}

// What a 0 of a threshold means; "" for other values.
const beyondSizes = (cell, name) => page.sizes[cell.key]?.beyond[name] || "";

function acuityText(cell, task) {
  const size = sizeOf(task);
  const found = cell && acuityCell(cell);
  if (!found) return `threshold outside ${size.smallest} to ${size.largest} ${size.unit}`;
  return `reads from ${number(found.score.value)} ${size.unit} ${intervalText(found.score)}`;
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
  return lineChart({ title: task, note: smallestName(sizeOf(task)), curves, ceiling, xMin: limits[0], xMax: limits[1] });
}

function sampleFigure(view) {
  const cell = analysis.cells.find((c) => c.vlm === state.vlm && c.task === view.task && c.codec === view.codec && c.level === view.level && !c.adapter);
  const name = view.codec === SOURCE ? codecName(SOURCE) : settingName(view.codec, view.level);
  return h("figure", { class: `panel sample ${codecClass(view.codec)}`, "data-codec": view.codec },
    h("img", { src: `data:image/png;base64,${picture(view)}`, alt: `${taskInfo.get(view.task).sample_text}, ${name}` }),
    h("figcaption", null, h("b", null, h("i", { class: "dot" }), name), h("span", null, `${bpp(view.bpp)} bpp`)),
    h("p", { class: "muted" }, acuityText(cell, view.task)));
}

function renderAcuity(root) {
  const views = (analysis.samples || []).filter((view) => sizeOf(view.task) && cellsOf(state.vlm, view.task).length);
  root.hidden = views.length === 0;
  if (root.hidden) return;
  const shown = views.filter((view) => view.codec === SOURCE || !state.hidden.has(view.codec))
    .sort((a, b) => (b.codec === SOURCE) - (a.codec === SOURCE));
  const tasks = unique(views.map((view) => view.task));
  const info = taskInfo.get(tasks[0]);
  root.replaceChildren(
    ...sectionHead(`How small may ${sizeOf(tasks[0]).signs} be?`,
      `${state.vlm}. ${info.sample_text}, as each codec leaves them, and the smallest height that is read: halfway between guessing and the share of large ${sizeOf(tasks[0]).signs}, with its 95 % interval. Less is better.`),
    h("div", { class: "panels" }, tasks.map(acuityPanel).filter(Boolean)),
    h("div", { class: "panels samples" }, shown.map(sampleFigure)));
}
