// The embedded analysis, indexed; the current view; and the link that restores the view.

const page = JSON.parse($("page-data").textContent);
const analysis = JSON.parse($("analysis-data").textContent);
const SOURCE = "source";
const NO_ADAPTER = "no adapter";

// What curves are drawn over: bits per pixel, or another cost of an image.
const axis = analysis.axis || { name: "bpp", unit: "bpp", column: "bits per pixel", decimals: 3 };
const rateOf = (cell) => cell.axis_value ?? cell.bpp;
const rateNumber = (value) => (axis.name === "bpp" ? bpp(value) : number(value, axis.decimals));
const rateText = (value) => `${rateNumber(value)} ${axis.unit}`;

const vlms = unique([...analysis.cells, ...analysis.bd, ...analysis.gaps, ...analysis.examples].map((row) => row.vlm));
const codecs = unique(
  [...analysis.cells, ...analysis.bd, ...analysis.gaps, ...analysis.examples.flatMap((example) => example.views)]
    .map((row) => row.codec)
).filter((codec) => codec !== SOURCE);
const tasks = unique([...analysis.tasks.map((task) => task.name), ...analysis.cells.map((cell) => cell.task)]);
const taskInfo = new Map(analysis.tasks.map((task) => [task.name, task]));

// A VLM asked with choice sets has a separate name, and separate tables.
const choiceVlms = new Set(analysis.cells.filter((cell) => cell.choices).map((cell) => cell.vlm));

// The paper's category of each codec; runs of earlier versions do not say.
const categoryOf = new Map(analysis.cells.map((cell) => [cell.codec, cell.category || ""]));
// Runs of items (codecs, or made from a codec) of one category; one without a name if all are of one.
function byCategory(items, codecOf = (codec) => codec) {
  const groups = [];
  for (const item of items) {
    const name = categoryOf.get(codecOf(item)) || "";
    if (!groups.length || groups[groups.length - 1].name !== name) groups.push({ name, items: [] });
    groups[groups.length - 1].items.push(item);
  }
  return groups.length > 1 ? groups : groups.map((group) => ({ ...group, name: "" }));
}

const codecIndex = new Map(codecs.map((codec, i) => [codec, i]));
const styleOf = (codec) => page.styles[codec] ?? codecIndex.get(codec);
const codecName = (codec) => (codec === SOURCE ? "uncompressed" : page.labels[codec] || codec);
// A level of a codec, with its size once: as `setting_label` in analysis/codec_names.py.
function settingName(codec, level) {
  const size = level.includes("@") ? level.slice(level.lastIndexOf("@")) : "";
  return `${codecName(codec).split(/(?=[@ ])/).filter((part) => part !== size).join("")} ${level}`;
}
const codecClass = (codec) => (codecIndex.has(codec) ? `codec c${styleOf(codec) % 8}` : "codec source");
const nameOfMetric = (task, metric) => taskInfo.get(task)?.metric_labels?.[metric] || metric;
const metricName = (task) => nameOfMetric(task, taskInfo.get(task)?.headline_metric || "");
const picture = (view) => page.pictures[Number(view.png_base64.slice(1))] || "";
const hasPicture = (view) => picture(view) !== "";

// On a linear axis the low rates of a wide range are not readable.
const WIDE = 12; // the highest rate over the lowest
const allRates = analysis.cells.filter((cell) => cell.codec !== SOURCE && cell.bpp > 0).map((cell) => cell.bpp);
const logByDefault = allRates.length > 0 && Math.max(...allRates) > WIDE * Math.min(...allRates);

const state = { vlm: vlms[0] || "", hidden: new Set(), example: 0, logRate: logByDefault, adapter: "" };
const shownCodecs = () => codecs.filter((codec) => !state.hidden.has(codec));

const cellsOf = (vlm, task) => analysis.cells.filter((c) => c.vlm === vlm && c.task === task);
const ceilingOf = (vlm, task) => cellsOf(vlm, task).find((c) => c.codec === SOURCE && c.adapter === "" && isNumber(c.score.value));

// Curves of one chart: one per codec and adapter, lowest rate first.
function curvesOf(vlm, task) {
  const curves = new Map();
  for (const cell of cellsOf(vlm, task)) {
    if (cell.codec === SOURCE || !isNumber(cell.score.value) || cell.answered === 0) continue;
    const key = `${cell.codec}\n${cell.adapter}`;
    if (!curves.has(key)) curves.set(key, { codec: cell.codec, adapter: cell.adapter, cells: [] });
    curves.get(key).cells.push(cell);
  }
  for (const curve of curves.values()) curve.cells.sort((a, b) => rateOf(a) - rateOf(b));
  return [...curves.values()];
}

const trainedOn = (adapter) => (analysis.adapters || []).find((info) => info.name === adapter)?.trained_codecs || [];
// Adapters for one codec only measure the gap; those for several codecs are for deployment.
function adaptersOf(vlm) {
  const all = unique(analysis.cells.filter((c) => c.vlm === vlm && c.adapter).map((c) => c.adapter));
  const universal = all.filter((adapter) => trainedOn(adapter).length !== 1);
  return universal.length ? universal : all;
}
const examplesOf = (vlm) => analysis.examples.filter((example) => example.vlm === vlm);

function readLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  if (link.has("vlm") && vlms.includes(link.get("vlm"))) state.vlm = link.get("vlm");
  if (link.has("codec")) {
    const shown = link.get("codec").split(",");
    state.hidden = new Set(codecs.filter((codec) => !shown.includes(codec)));
    if (state.hidden.size === codecs.length) state.hidden.clear();
  }
  state.logRate = link.has("rate") ? link.get("rate") === "log" : logByDefault;
  state.adapter = link.get("adapter") || "";
  const example = Number(link.get("example"));
  if (Number.isInteger(example) && example >= 0 && example < examplesOf(state.vlm).length) state.example = example;
}

function writeLink() {
  const link = new URLSearchParams();
  if (state.vlm !== vlms[0]) link.set("vlm", state.vlm);
  if (state.hidden.size) link.set("codec", codecs.filter((codec) => !state.hidden.has(codec)).join(","));
  if (state.logRate !== logByDefault) link.set("rate", state.logRate ? "log" : "linear");
  if (state.adapter) link.set("adapter", state.adapter);
  if (state.example) link.set("example", state.example);
  const hash = link.toString().replaceAll("%2C", ",");
  // A page in a sandboxed frame cannot change its address; the view changes anyway.
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

// Marks the elements of hidden codecs, which the style sheet hides.
function applyHidden() {
  for (const node of document.querySelectorAll("[data-codec]")) {
    node.classList.toggle("off", state.hidden.has(node.dataset.codec));
  }
  for (const chip of document.querySelectorAll("#toolbar [data-toggle]")) {
    chip.setAttribute("aria-pressed", String(!state.hidden.has(chip.dataset.toggle)));
  }
}

// The analysis as it was written, with the images instead of their placeholders `@n`.
function analysisText() {
  return $("analysis-data").textContent.replace(
    /("png_base64": )"@(\d+)"/g,
    (whole, name, index) => name + JSON.stringify(page.pictures[Number(index)])
  );
}
