// Codec against codec: at equal rates (BD-Metric) and at equal scores (BD-rate).

const turnedPercent = (percent) => 100 * (1 / (1 + percent / 100) - 1);
const turnedInterval = (found, turn) => found && { value: turn(found.value), low: turn(found.high), high: turn(found.low) };

// The comparison of two codecs in either order; the analysis has each pair once.
function pairOf(vlm, task, codec, against) {
  const found = (one, other) => analysis.pairs.find((p) => p.vlm === vlm && !p.adapter && p.task === task && p.codec === one && p.against === other);
  const pair = found(codec, against);
  if (pair) return pair;
  const other = found(against, codec);
  return other && { ...other, codec, against, bd: turnedInterval(other.bd, (value) => -value), rate_percent: turnedInterval(other.rate_percent, turnedPercent) };
}

// At equal rates a difference in points, at equal scores a change of the rate in percent.
function pairCell(pair, kind, notes) {
  if (!pair) return h("td", { class: "none" }, "\u2013");
  const [found, flags] = kind === "bd" ? [pair.bd, pair.flags] : [pair.rate_percent, pair.rate_flags];
  const marks = notes.mark(flags);
  if (!found) return h("td", { class: "none" }, "\u2013", marks && h("sup", null, marks));
  const unit = kind === "bd" ? "" : " %";
  const better = kind === "bd" ? found.value > 0 : found.value < 0;
  const sure = certainty(found);
  const interval = intervalText(found, signed);
  return h("td", { class: `bd ${sure}`, vars: sure === "sure" ? { "--tint": better ? "var(--win)" : "var(--loss)", "--depth": "0.2" } : {} },
    h("span", { class: "value" }, `${signed(found.value)}${unit}`), marks && h("sup", null, marks), interval && h("small", null, interval));
}

function pairTable(kind, caption, against) {
  const others = shownCodecs().filter((codec) => codec !== against);
  const shown = tasks.filter((task) => others.some((codec) => pairOf(state.vlm, task, codec, against)));
  const notes = footnotes();
  const table = h("table", { class: "pair-table" }, h("caption", { class: "sr" }, caption),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Task"),
      others.map((codec) => h("th", { scope: "col", class: `num ${codecClass(codec)}` }, h("i", { class: "dot" }), codecName(codec))))),
    h("tbody", null, shown.map((task) => h("tr", null,
      h("th", { scope: "row" }, task, h("small", null, metricName(task))),
      others.map((codec) => pairCell(pairOf(state.vlm, task, codec, against), kind, notes))))));
  return [h("h3", null, caption), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table), notes.list()].filter(Boolean);
}

// The first choice is the codec that shares rates with most others.
function defaultAgainst(own) {
  const shared = (codec) => own.filter((p) => p.bd && (p.codec === codec || p.against === codec)).length;
  return shownCodecs().sort((a, b) => shared(b) - shared(a))[0];
}

function renderPairs(root) {
  const own = (analysis.pairs || []).filter((p) => p.vlm === state.vlm && !p.adapter);
  root.hidden = own.length === 0;
  if (root.hidden) return;
  const against = shownCodecs().includes(state.against) ? state.against : defaultAgainst(own);
  const choice = h("select", { "aria-label": "Codec to compare with", onchange: () => { state.against = choice.value; renderPairs(root); } },
    shownCodecs().map((codec) => h("option", { value: codec, selected: codec === against }, codecName(codec))));
  root.replaceChildren(
    ...sectionHead("Codec against codec",
      "Differences where two codecs can be compared: over the rates both have, and over the scores both reach. Coloured are those whose 95 % interval excludes zero."),
    h("p", { class: "choice" }, "Every codec against ", choice),
    ...pairTable("bd", `Points more or less than ${codecName(against)} at equal rates (BD-Metric)`, against),
    ...pairTable("rate", `${axis.name === "bpp" ? "Bits" : axis.column} more or less than ${codecName(against)} at equal scores (BD-rate)`, against));
}
