// The scaling law (paper Fig. 5, 21, 22): the drop against uncompressed over the size of a VLM.

const sizeName = (count) => (count >= 1e9 ? `${Number((count / 1e9).toPrecision(3))} B` : `${Number((count / 1e6).toPrecision(3))} M`);

function scalingSentence(own) {
  const sign = (slope) => (slope.low === slope.high ? 0 : (slope.low > 0) - (slope.high < 0));
  const less = own.filter((one) => sign(one.slope) < 0).length;
  const more = own.filter((one) => sign(one.slope) > 0).length;
  return `For twice the parameters the drop falls significantly in ${less} of ${plural(own.length, "combination")} of task and codec, and rises significantly in ${more}.`;
}

function sizeChart(task, own, tools = true) {
  const { width, height, left, right, top, bottom } = FRAME;
  const sizes = unique(own.flatMap((one) => one.parameters)).sort((a, b) => a - b);
  const values = own.flatMap((one) => one.drops.flatMap((drop) => [drop.value, drop.low, drop.high])).concat(0);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = padOf(low, high, 0.06, 1);
  const [from, to] = [Math.log(sizes[0]) - 0.1, Math.log(sizes.at(-1)) + 0.1];
  const x = (size) => left + ((width - left - right) * (Math.log(size) - from)) / (to - from);
  const y = (value) => height - bottom - ((height - top - bottom) * (value - low + pad)) / (high - low + 2 * pad);
  const ys = niceTicks(low - pad, high + pad, 5);
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${task}: mean drop over parameters for ${own.map((one) => codecName(one.codec)).join(", ")}` },
    ys.ticks.map((tick) => [s("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      s("text", { class: "tick", x: left - 7, y: y(tick) + 3.5, "text-anchor": "end" }, number(tick, ys.digits))]),
    s("line", { class: "axis", x1: left, x2: width - right, y1: y(0), y2: y(0) }),
    sizes.map((size) => s("text", { class: "tick", x: x(size), y: height - bottom + 16, "text-anchor": "middle" }, sizeName(size))),
    s("text", { class: "axis-name", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "parameters, logarithmic"),
    s("text", { class: "axis-name", x: 0, y: 0, "text-anchor": "middle", transform: `translate(11,${(top + height - bottom) / 2}) rotate(-90)` }, "mean drop, points"),
    own.map((one) => s("g", { class: `curve ${codecClass(one.codec)}`, "data-codec": one.codec },
      one.drops.map((drop, i) => s("line", { class: "line", "stroke-opacity": 0.4, x1: x(one.parameters[i]), x2: x(one.parameters[i]), y1: y(drop.low), y2: y(drop.high) })),
      s("path", { class: "line", d: path(one.drops.map((drop, i) => [x(one.parameters[i]), y(drop.value)])) }),
      one.drops.map((drop, i) => s("path", { class: "point", d: marker(one.codec), transform: `translate(${x(one.parameters[i]).toFixed(1)},${y(drop.value).toFixed(1)})`,
        onpointerleave: hideTooltip, onpointerenter: (event) => showTooltip(event.clientX, event.clientY,
          h("div", { class: `tip-title ${codecClass(one.codec)}` }, h("i", { class: "dot" }), `${codecName(one.codec)}, ${one.vlms[i]}`),
          line("mean drop", number(drop.value)), intervalText(drop) ? line("95 % interval, paired", intervalText(drop)) : null) })))));
  const figure = h("figure", { class: "panel" }, h("figcaption", null, h("b", null, task), h("span", null, own[0].series)), svg);
  if (tools) figure.append(chartTools(svg, `${task}, drop over size`, () => sizeChart(task, own, false)));
  return figure;
}

// key: slope, in points, or share_slope, in percent of the uncompressed score.
function slopeTable(own, key, unit) {
  const columns = unique(own.map((one) => one.codec));
  const caption = `Change of the drop for twice the parameters, ${unit}`;
  const cell = (one) => {
    const slope = one && one[key];
    if (!slope) return h("td", { class: "none" }, "\u2013");
    const sure = certainty(slope);
    return h("td", { class: `bd ${sure}`, vars: sure === "sure" ? { "--tint": slope.value < 0 ? "var(--win)" : "var(--loss)", "--depth": "0.2" } : {} },
      h("span", { class: "value" }, signed(slope.value, 2)), h("small", null, intervalText(slope, signed)));
  };
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: "pair-table" }, h("caption", { class: "sr" }, caption),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Task"), columns.map((codec) => h("th", { scope: "col", class: `num ${codecClass(codec)}` }, h("i", { class: "dot" }), codecName(codec))))),
      h("tbody", null, unique(own.map((one) => `${one.series}\n${one.task}`)).map((key) => {
        const [series, task] = key.split("\n");
        return h("tr", null, h("th", { scope: "row" }, task, h("small", null, series)),
          columns.map((codec) => cell(own.find((one) => one.series === series && one.task === task && one.codec === codec))));
      }))));
}

function renderScaling(root) {
  const own = (analysis.scaling || []).filter((one) => !state.hidden.has(one.codec) && !choiceVlms.has(one.vlms[0]));
  root.hidden = own.length === 0;
  if (root.hidden) return;
  const panels = unique(own.map((one) => `${one.series}\n${one.task}`)).map((key) => key.split("\n"));
  root.replaceChildren(
    ...sectionHead("Does a larger VLM lose less?",
      `${scalingSentence(own)} The table shows the slope of the drop over the logarithm of the size; below zero a larger VLM loses less. The charts show the mean drop over the levels that all sizes have.`),
    slopeTable(own, "slope", "in points"),
    own.some((one) => one.share_slope) ? h("details", { class: "more" }, h("summary", null, "In percent of each VLM's own uncompressed score"),
      slopeTable(own, "share_slope", "in percent of the uncompressed score")) : "",
    h("div", { class: "panels" }, panels.map(([series, task]) => sizeChart(task, own.filter((one) => one.series === series && one.task === task)))));
}
