// Every score with every sub-metric: one sortable table for each task (and protocol).

// Beyond the sizes of a task is above or below all of them.
function scoreKey(cell, name) {
  const beyond = beyondSizes(cell, name);
  return beyond ? { ">": Infinity, "<": 0 }[beyond[0]] ?? null : cell.metrics[name];
}

function scoreColumns(cells) {
  const headline = taskInfo.get(cells[0].task)?.headline_metric;
  const metrics = unique(cells.flatMap((cell) => Object.keys(cell.metrics))).filter((name) => name !== headline);
  return [
    ...(vlms.length > 1 ? [{ name: "VLM", key: (c) => c.vlm, text: true }] : []),
    { name: "codec", key: (c) => (c.codec === SOURCE ? "" : codecName(c.codec)), text: true, show: (c) => [h("i", { class: "dot" }), codecName(c.codec)] },
    { name: "level", key: (c) => c.rank, show: (c) => (c.codec === SOURCE ? "\u2013" : c.level) },
    ...(cells.some((c) => c.adapter) ? [{ name: "adapter", key: (c) => c.adapter, text: true, show: (c) => c.adapter || "\u2013" }] : []),
    { name: axis.unit, key: rateOf, show: (c) => rateNumber(rateOf(c)) },
    { name: metricName(cells[0].task) || "score", key: (c) => c.score.value,
      show: (c) => [h("b", null, number(c.score.value, 1)), h("small", null, intervalText(c.score))] },
    ...metrics.map((name) => ({ name: nameOfMetric(cells[0].task, name), key: (c) => scoreKey(c, name), show: (c) => beyondSizes(c, name) || number(c.metrics[name], 1) })),
    { name: "unparsed", key: (c) => c.unparsed_share, show: (c) => h("span", { class: c.unparsed_share > 0.05 ? "warn" : "" }, percent(c.unparsed_share)) },
    { name: "failed", key: (c) => c.failed, show: (c) => (c.failed ? h("span", { class: "warn" }, `${c.failed} of ${c.questions}`) : "0") },
  ];
}

function compareKeys(a, b) {
  if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b), "en");
  const [x, y] = [a, b].map((key) => (typeof key === "number" && !Number.isNaN(key) ? key : -Infinity));
  return x === y ? 0 : x - y;
}

function scoreTable(cells, label) {
  const columns = scoreColumns(cells);
  const body = h("tbody");
  let [sorted, ascending] = [-1, true];
  const heads = columns.map((column, i) => h("th", { scope: "col", class: column.text ? "" : "num", "aria-sort": "none" },
    h("button", { type: "button", onclick: () => sort(i) }, column.name)));
  const row = (cell) => h("tr", { class: `${codecClass(cell.codec)}${cell.codec === SOURCE ? " ceiling-row" : ""}` },
    columns.map((column) => h("td", { class: column.text ? "" : "num" }, column.show ? column.show(cell) : column.key(cell))));
  const sort = (index) => {
    ascending = sorted === index ? !ascending : columns[index].text === true;
    sorted = index;
    const order = cells.slice().sort((a, b) => (ascending ? 1 : -1) * compareKeys(columns[index].key(a), columns[index].key(b)));
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === index ? (ascending ? "ascending" : "descending") : "none"));
    body.replaceChildren(...order.map(row));
  };
  body.append(...cells.map(row));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    h("table", { class: "score-table" }, h("caption", { class: "sr" }, label), h("thead", null, h("tr", null, heads)), body));
}

// On paper a table of many metrics becomes several, each with the columns that name the cell. Their
// headings are texts: a browser leaves out buttons where it repeats a heading on the next page.
const ON_PAPER = 6; // metrics of one table
let paperParts = [];

function paperTable(table, keep) {
  const cells = (row) => [...row.cells].filter((_, i) => keep(i));
  const body = [...table.tBodies[0].rows].map((row) => h("tr", { class: row.className }, cells(row).map((cell) => cell.cloneNode(true))));
  const heads = cells(table.tHead.rows[0]).map((cell) => h("th", { scope: "col", class: cell.className }, cell.textContent));
  return h("table", { class: "score-table" }, h("thead", null, h("tr", null, heads)), h("tbody", null, body));
}

function splitForPaper() {
  paperParts = [...document.querySelectorAll(".score-table")].flatMap((table) => {
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const named = heads.indexOf(axis.unit) + 1;
    const most = heads.length - named <= ON_PAPER + 2 ? heads.length : ON_PAPER;
    const parts = [];
    for (let from = named; from < heads.length; from += most) parts.push(paperTable(table, (i) => i < named || (i >= from && i < from + most)));
    table.classList.add("on-screen");
    table.after(...parts);
    return parts;
  });
}

function joinAfterPaper() {
  for (const part of paperParts) part.remove();
  for (const table of document.querySelectorAll(".score-table.on-screen")) table.classList.remove("on-screen");
}

// The uncompressed score first, then the codecs, each from the lowest rate.
function scoreOrder(a, b) {
  return vlms.indexOf(a.vlm) - vlms.indexOf(b.vlm)
    || (codecIndex.get(a.codec) ?? -1) - (codecIndex.get(b.codec) ?? -1)
    || a.rank - b.rank || compareKeys(a.adapter, b.adapter);
}

function renderScores(root) {
  const blocks = tasks.flatMap((task) => [false, true].map((choices) => ({
    task, choices, cells: analysis.cells.filter((c) => c.task === task && c.choices === choices && !state.hidden.has(c.codec)).sort(scoreOrder),
  }))).filter((block) => block.cells.length);
  root.hidden = blocks.length === 0;
  if (root.hidden) return;
  const note = (block) => {
    const info = taskInfo.get(block.task);
    const failed = block.cells.reduce((sum, cell) => sum + cell.failed, 0);
    return [
      h("span", { class: "muted" }, info ? `${metricName(block.task)}; ${plural(info.questions, "question")} on ${imagesText(info)}` : ""),
      info?.stored_as ? h("span", { class: "muted" }, info.stored_as) : null,
      info?.caution ? h("span", { class: "warn" }, info.caution) : null,
      failed ? h("span", { class: "warn" }, `${failed.toLocaleString("en")} failed`) : null,
    ];
  };
  // Drawn again, the section has the same parts open.
  const open = new Set([...root.querySelectorAll("details[open] > summary > b")].map((node) => node.textContent));
  const blockName = (block) => block.task + (block.choices ? " (choice set)" : "");
  root.replaceChildren(
    ...sectionHead("All scores",
      "Every sub-metric of every task. An answer that cannot be parsed counts as wrong; a failed question has no answer and counts in no score. Click a column to sort by it."),
    ...blocks.map((block, i) => h("details", { open: open.size ? open.has(blockName(block)) : i === 0 },
      h("summary", null, h("b", null, blockName(block)), note(block)),
      scoreTable(block.cells, `Scores on ${block.task}`))));
}
