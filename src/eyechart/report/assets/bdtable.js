// BD-Metric tables: rows are VLM x task, columns are codecs.

// Footnote letters in order of first use; equal texts share a letter.
function footnotes() {
  const texts = [];
  return {
    mark(flags) {
      texts.push(...flags.filter((flag) => !texts.includes(flag)));
      return flags.map((flag) => texts.indexOf(flag)).sort((a, b) => a - b).map(letter).join(",");
    },
    list: () => (texts.length ? h("ol", { class: "footnotes" }, texts.map((text, i) => h("li", null, h("sup", null, letter(i)), " ", text))) : null),
  };
}

const letter = (i) => (i < 26 ? "" : letter(Math.floor(i / 26) - 1)) + String.fromCharCode(97 + (i % 26));

// The colour shows the share of the uncompressed score, which is comparable between units.
function tint(result, ceiling) {
  if (!ceiling) return {};
  const share = result.bd.value / ceiling.score.value;
  const depth = Math.min(1, Math.abs(share) / 0.5);
  return { "--tint": share < 0 ? "var(--loss)" : "var(--win)", "--depth": (0.42 * depth ** 0.8).toFixed(3) };
}

// Codecs are not ranked; a mark shows whether the interval of a difference excludes zero.
const certainty = (bd) => (bd.low !== bd.high && (bd.low > 0 || bd.high < 0) ? "sure" : "unsure");

function bdCell(result, ceiling, place, notes) {
  if (!result) return h("td", { class: "none" }, "\u2013");
  const marks = notes.mark(result.flags);
  if (!result.bd) {
    return explain(h("td", { class: "none" },
      "\u2013", marks && h("sup", null, marks)),
    () => [line(codecName(result.codec), "not computed"), ...result.flags.map((flag) => h("div", { class: "tip-flag" }, flag))]);
  }
  const interval = intervalText(result.bd, signed);
  return explain(h("td", { class: `bd ${place || ""}`, vars: tint(result, ceiling) },
    h("span", { class: "value" }, signed(result.bd.value)), marks && h("sup", null, marks),
    interval && h("small", null, interval)),
  () => [
    h("div", { class: `tip-title ${codecClass(result.codec)}` }, h("i", { class: "dot" }), `${codecName(result.codec)} on ${result.task}`),
    line(result.baseline === NO_ADAPTER ? "BD gain" : "BD-Metric", signed(result.bd.value, 2)),
    interval && line("95 % interval", `[${signed(result.bd.low, 2)}, ${signed(result.bd.high, 2)}]`),
    ceiling && line("of the uncompressed score", percent(result.bd.value / ceiling.score.value)),
    ...result.flags.map((flag) => h("div", { class: "tip-flag" }, flag)),
  ]);
}

const UNSEEN = "codec not seen in training";

// The codecs an adapter was trained on, and which of its gains are on unseen codecs.
function withUnseen(result) {
  const trained = trainedOn(result.adapter);
  return trained.length && !trained.includes(result.codec_name) ? { ...result, flags: [...result.flags, UNSEEN] } : result;
}

function groupHead(vlm, adapter, span) {
  const trained = trainedOn(adapter);
  return h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: span }, vlm,
    adapter ? h("span", null, ` with ${adapter}`, trained.length ? `, trained on ${trained.map(codecName).join(", ")}` : "") : null));
}

// A row above the codecs that names their categories.
function categoryHead(columns) {
  const groups = byCategory(columns);
  if (groups.length < 2) return null;
  return h("tr", { class: "categories" }, h("td", null), h("td", { class: "ceiling-score" }),
    groups.map((group) => h("th", { scope: "colgroup", colspan: group.items.length }, group.name)));
}

function bdTable(all, caption) {
  const results = all.map(withUnseen);
  const columns = shownCodecs().filter((codec) => results.some((r) => r.codec === codec));
  const groups = unique(results.map((r) => `${r.vlm}\n${r.adapter}`)).map((key) => key.split("\n"));
  const notes = footnotes();
  const bodies = groups.map(([vlm, adapter]) => {
    const own = results.filter((r) => r.vlm === vlm && r.adapter === adapter);
    const rows = tasks.filter((task) => own.some((r) => r.task === task));
    return h("tbody", null,
      groupHead(vlm, adapter, columns.length + 2),
      rows.map((task) => {
        const row = columns.map((codec) => own.find((r) => r.task === task && r.codec === codec));
        const ceiling = ceilingOf(vlm, task);
        const place = (r) => (r?.bd && r.baseline === NO_ADAPTER ? certainty(r.bd) : null);
        return h("tr", null,
          h("th", { scope: "row" }, task, h("small", null, metricName(task))),
          h("td", { class: "ceiling-score" }, number(ceiling?.score.value), h("small", null, intervalText(ceiling?.score))),
          row.map((r) => bdCell(r, ceiling, place(r), notes)));
      }));
  });
  const table = h("table", { class: "bd-table" }, h("caption", { class: "sr" }, caption),
    h("thead", null, categoryHead(columns), h("tr", null, h("th", { scope: "col" }, "Task"), h("th", { scope: "col", class: "num ceiling-score" }, "uncompressed"),
      columns.map((codec) => h("th", { scope: "col", class: `num ${codecClass(codec)}` }, h("i", { class: "dot" }), codecName(codec), h("small", null, ownRates(results, codec)))))),
    bodies);
  return [h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table), notes.list()];
}

// The rates over which a codec's BD-Metrics are averaged, of all tasks.
function ownRates(results, codec) {
  const own = results.filter((r) => r.codec === codec && r.high_rate > 0);
  return own.length ? `${rateNumber(Math.min(...own.map((r) => r.low_rate)))} to ${rateText(Math.max(...own.map((r) => r.high_rate)))}` : null;
}

function tintKey(loss, win, marks) {
  return h("p", { class: "tint-key" }, loss && [h("i", { class: "ramp loss" }), loss], win && [h("i", { class: "ramp win" }), win],
    h("span", { class: "places" }, marks));
}

function renderBd(root) {
  const results = analysis.bd.filter((r) => r.baseline !== NO_ADAPTER && !r.adapter);
  root.hidden = results.length === 0;
  if (root.hidden) return;
  root.replaceChildren(
    ...sectionHead("BD-Metric against uncompressed",
      "The mean score over a codec's own range of rates, minus the uncompressed score, in the benchmark's own points. Zero would be no loss",
      analysis.bootstrap_samples > 0 ? "; in brackets the 95 % bootstrap interval." : ".",
      " Codecs have different ranges, so this table does not rank them; the next section compares them."),
    ...[false, true].flatMap((choices) => {
      const own = results.filter((r) => choiceVlms.has(r.vlm) === choices);
      return own.length ? bdTable(own, `BD-Metric against uncompressed${choices ? ", answers from a choice set" : ""}`) : [];
    }).filter(Boolean),
    tintKey("0 to 50 % of the uncompressed score lost", results.some((r) => r.bd?.value > 0) && "gained"));
}
