// Performance gap = information gap + generalization gap (paper eq. 1, Table 3).

const GAP = { width: 420, height: 34, top: 8, bar: 14 };

function gapBar(gap, domain) {
  const x = (value) => (GAP.width * (value - domain[0])) / (domain[1] - domain[0]);
  const zero = x(0);
  // Negative parts stack to the left of zero, positive ones to the right.
  let [left, right] = [0, 0];
  const rect = (name, value) => {
    const from = value < 0 ? left : right;
    const to = from + value;
    if (value < 0) left = to;
    else right = to;
    return s("rect", { class: name, x: Math.min(x(from), x(to)), y: GAP.top, width: Math.abs(x(to) - x(from)), height: GAP.bar });
  };
  const whisker = (interval, y) => (intervalText(interval)
    ? s("path", { class: "whisker", d: `M${x(interval.low)},${y}H${x(interval.high)}M${x(interval.low)},${y - 3}v6M${x(interval.high)},${y - 3}v6` }) : null);
  return s("svg", { class: "gap-bar", viewBox: `0 0 ${GAP.width} ${GAP.height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    s("line", { class: "axis", x1: zero, x2: zero, y1: 2, y2: GAP.height - 2 }),
    rect("information", gap.information.value), rect("generalization", gap.generalization.value),
    whisker(gap.performance, GAP.top + GAP.bar + 6));
}

function gapNumber(interval) {
  return h("td", { class: "num" }, number(interval.value), h("small", null, intervalText(interval)));
}

function gapRow(gap, domain) {
  const row = h("tr", { "data-codec": gap.codec, class: gap.level ? "one-level" : "" },
    h("th", { scope: "row", class: codecClass(gap.codec) }, h("i", { class: "dot" }), codecName(gap.codec),
      h("small", null, gap.level || "all levels")),
    h("td", { class: "num" }, number(gap.uncompressed)), h("td", { class: "num" }, number(gap.compressed)), h("td", { class: "num" }, number(gap.finetuned)),
    gapNumber(gap.performance), gapNumber(gap.information), gapNumber(gap.generalization));
  const share = gap.performance.value > 0 ? gap.generalization.value / gap.performance.value : null;
  row.append(explain(h("td", { class: "gap-cell" },
    gapBar(gap, domain)), () => [
    h("div", { class: `tip-title ${codecClass(gap.codec)}` }, h("i", { class: "dot" }), `${codecName(gap.codec)} ${gap.level} on ${gap.task}`),
    line("fine-tuned", gap.adapter),
    line("performance gap", `${number(gap.performance.value)} ${intervalText(gap.performance)}`),
    line("information", `${number(gap.information.value)} ${intervalText(gap.information)}`),
    line("generalization", `${number(gap.generalization.value)} ${intervalText(gap.generalization)}`),
    share === null ? null : line("could be corrected", percent(share, 0)),
  ]));
  return row;
}

function gapTask(task, gaps) {
  const ordered = codecs.flatMap((codec) => gaps.filter((gap) => gap.codec === codec)
    .sort((a, b) => (a.level === "" ? -1 : 0) - (b.level === "" ? -1 : 0)));
  const ends = ordered.flatMap((gap) => [
    Math.min(0, gap.information.value) + Math.min(0, gap.generalization.value),
    Math.max(0, gap.information.value) + Math.max(0, gap.generalization.value),
    gap.performance.low, gap.performance.high]).filter(isNumber);
  const domain = [Math.min(0, ...ends), Math.max(0, ...ends) || 1];
  return h("tbody", null,
    h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: 8 }, task, h("small", null, metricName(task)))),
    ordered.map((gap) => gapRow(gap, domain)));
}

function fineTuned(adapter) {
  const trained = trainedOn(adapter).map(codecName);
  return `\u201c${adapter}\u201d${trained.length ? `, trained on ${trained.join(", ")}` : ""}`;
}

function renderGap(root) {
  const gaps = analysis.gaps.filter((gap) => gap.vlm === state.vlm);
  root.hidden = gaps.length === 0;
  if (root.hidden) return;
  const levels = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    levels.setAttribute("aria-pressed", String(table.classList.toggle("each-level")));
  } }, "Each level");
  // Only averaged rows can be unfolded.
  const averaged = gaps.some((gap) => gap.level === "") && gaps.some((gap) => gap.level !== "");
  const heads = ["uncompressed", "compressed", "fine-tuned", "performance", "information", "generalization"];
  const table = h("table", { class: averaged ? "gap-table" : "gap-table each-level" }, h("caption", { class: "sr" }, "Performance, information and generalization gap"),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, state.vlm), heads.map((name) => h("th", { scope: "col", class: "num" }, name)), h("th", { scope: "col" }, "gap"))),
        tasks.map((task) => [task, gaps.filter((gap) => gap.task === task)]).filter(([, own]) => own.length).map(([task, own]) => gapTask(task, own)));
  root.replaceChildren(
    ...sectionHead("Where the loss comes from",
      `The performance gap is what compression costs. After fine-tuning (here: ${unique(gaps.map((gap) => gap.adapter)).map(fineTuned).join("; ")}) the model recovers a part of it: the generalization gap. The rest is the information gap, which better training could only reduce.`),
    h("p", { class: "gap-key" }, h("i", { class: "information" }), "information gap", h("i", { class: "generalization" }), "generalization gap",
      h("span", { class: "muted" }, "whisker: 95 % interval of the performance gap"), averaged ? levels : null),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Gap table" }, table));
}
