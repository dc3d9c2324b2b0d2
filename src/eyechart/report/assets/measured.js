// What was measured: versions and settings of everything in the run, and the commands.

const KINDS = [["codec", "Codecs"], ["vlm", "VLMs"], ["adapter", "Adapters"], ["task", "Tasks"]];

const plainValue = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const pairsText = (object) => Object.entries(object).map(([key, value]) => `${key} ${plainValue(value)}`).join(", ");

// `qp 42, 45, 49` if all levels have the same knobs, else each level with its own.
function levelsText(levels) {
  const names = unique(levels.flatMap((level) => Object.keys(level.knobs)));
  const knobs = levels.length && names.length === 1
    ? `${names[0]} ${levels.map((level) => plainValue(level.knobs[names[0]])).join(", ")}`
    : levels.map((level) => [level.name, pairsText(level.knobs)].filter(Boolean).join(": ")).join("; ");
  const weights = levels.filter((level) => level.weights).map((level) => `${level.name} ${level.weights.slice(0, 8)}`);
  return [knobs, weights.length ? `checkpoints ${weights.join(", ")}` : ""].filter(Boolean).join("; ");
}

function taskText(part) {
  const info = taskInfo.get(part.name);
  return [
    info && `${plural(info.questions, "question")} on ${imagesText(info)}`,
    info?.whole_images && "a sample in which categories keep their shares",
    part.max_new_tokens && `at most ${part.max_new_tokens} tokens an answer`,
  ].filter(Boolean).join(", ");
}

function componentRow(part) {
  const size = (analysis.vlms || []).find((vlm) => vlm.name === part.name)?.parameters;
  const settings = [
    part.kind === "task" ? taskText(part) : "",
    part.kind === "vlm" && size ? `${(size / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} million parameters` : "",
    part.chroma && `chroma ${part.chroma}`, pairsText(part.options), levelsText(part.levels || []),
  ].filter(Boolean).join("; ");
  return h("tr", null, h("th", { scope: "row" }, part.kind === "codec" ? codecName(part.name) : part.name),
    h("td", null, part.kind === "task" ? part.version.replace("+", ", data ") : part.version), h("td", null, settings || "\u2013"));
}

function measuredTable() {
  const parts = analysis.components || [];
  if (!parts.length) return [];
  return [
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Versions and settings" },
      h("table", { class: "measured" }, h("caption", { class: "sr" }, "Versions and settings"),
        h("thead", null, h("tr", null, ["Name", "Version", "Settings"].map((name) => h("th", { scope: "col" }, name)))),
        KINDS.map(([kind, title]) => [title, parts.filter((part) => part.kind === kind)]).filter(([, own]) => own.length)
          .map(([title, own]) => h("tbody", null, h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: 3 }, title)), own.map(componentRow))))),
  ];
}

function commandList() {
  const commands = analysis.commands || [];
  return commands.length ? [h("h3", null, "Commands"), h("pre", { class: "commands" }, commands.join("\n"))] : [];
}
