// A rate-metric chart: scores over the rate, bootstrap bands, the uncompressed score as a line.

const FRAME = { width: 360, height: 248, left: 54, right: 14, top: 18, bottom: 38 };
const MARKERS = [
  "M-3.6,0a3.6,3.6 0 1,0 7.2,0a3.6,3.6 0 1,0 -7.2,0z",
  "M-3.2,-3.2h6.4v6.4h-6.4z",
  "M0,-4.4L4.2,3.2H-4.2z",
  "M0,-4.6L4.6,0L0,4.6L-4.6,0z",
  "M0,4.4L4.2,-3.2H-4.2z",
  "M-4,-1.4H-1.4V-4H1.4V-1.4H4V1.4H1.4V4H-1.4V1.4H-4z",
  "M0,-4.4L4.2,-1.3L2.6,3.6H-2.6L-4.2,-1.3z",
  "M-4.2,-2.4H4.2V2.4H-4.2z",
];
// Codecs that share a colour have other markers; the same as in report/style.py.
const marker = (codec) => MARKERS[(styleOf(codec) + 3 * Math.floor(styleOf(codec) / 8)) % MARKERS.length];

function niceTicks(low, high, count) {
  const span = high - low || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => span / k <= count) || 10 * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) ticks.push(i * step);
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9) + (step / power === 2.5 ? 1 : 0));
  return { ticks, digits };
}

// What is added to both ends of an axis: a share of its span, and enough that it spans `least`.
const padOf = (low, high, share, least) => Math.max(share * (high - low), (least - (high - low)) / 2);

// Ticks of a logarithmic axis: 1, 2 and 5 times a power of ten.
function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    ticks.push(...[1, 2, 5].map((k) => k * 10 ** power).filter((tick) => tick >= low && tick <= high));
  }
  return ticks;
}

const rateTick = (value) => String(Number(value.toPrecision(2)));

function chartScales(curves, ceiling, xMin, xMax) {
  const values = curves.flatMap((curve) => curve.cells.flatMap((c) => [c.score.low, c.score.high, c.score.value]));
  if (ceiling) values.push(ceiling.score.value, ceiling.score.low, ceiling.score.high);
  const finite = values.filter(isNumber);
  let low = Math.min(...finite);
  let high = Math.max(...finite);
  const pad = padOf(low, high, 0.06, 0.02 * Math.abs(high) || 2);
  low = low >= 0 ? Math.max(0, low - pad) : low - pad;
  high += pad;
  const { width, height, left, right, top, bottom } = FRAME;
  const span = width - left - right;
  return {
    low, high, xMin, xMax,
    x: state.logRate ? (value) => left + (span * Math.log(value / xMin)) / Math.log(xMax / xMin)
      : (value) => left + (span * (value - xMin)) / (xMax - xMin),
    y: (value) => height - bottom - ((height - top - bottom) * (value - low)) / (high - low),
  };
}

function axes(scales, yName) {
  const { width, height, left, right, top, bottom } = FRAME;
  const ys = niceTicks(scales.low, scales.high, 5);
  const even = niceTicks(scales.xMin, scales.xMax, 5);
  const xs = state.logRate ? logTicks(scales.xMin, scales.xMax) : even.ticks;
  const tickName = state.logRate ? rateTick : (tick) => number(tick, even.digits);
  return [
    ys.ticks.map((tick) => [
      s("line", { class: "grid", x1: left, x2: width - right, y1: scales.y(tick), y2: scales.y(tick) }),
      s("text", { class: "tick", x: left - 7, y: scales.y(tick) + 3.5, "text-anchor": "end" }, number(tick, ys.digits)),
    ]),
    s("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    xs.map((tick) => [
      s("line", { class: "axis", x1: scales.x(tick), x2: scales.x(tick), y1: height - bottom, y2: height - bottom + 4 }),
      s("text", { class: "tick", x: scales.x(tick), y: height - bottom + 16, "text-anchor": "middle" }, tickName(tick)),
    ]),
    s("text", { class: "axis-name", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" },
      `${axis.column}${state.logRate ? ", logarithmic" : ""}`),
    s("text", { class: "axis-name", x: 0, y: 0, "text-anchor": "middle", transform: `translate(11,${(top + height - bottom) / 2}) rotate(-90)` }, yName),
  ];
}

function ceilingMark(ceiling, scales) {
  if (!ceiling) return null;
  const { width, left, right } = FRAME;
  const y = scales.y(ceiling.score.value);
  const [top, bottom] = [scales.y(ceiling.score.high), scales.y(ceiling.score.low)];
  return s("g", { class: "ceiling" },
    s("rect", { x: left, y: top, width: width - left - right, height: Math.max(0, bottom - top) || 0 }),
    s("line", { x1: left, x2: width - right, y1: y, y2: y }),
    s("text", { x: left + 2, y: top - 5 < 9 ? y + 12 : Math.min(y, top) - 4 }, `uncompressed ${number(ceiling.score.value)}`));
}

// Piecewise cubic interpolation as for BD-Metric (PCHIP, Fritsch and Butland 1984): the slopes of
// `analysis/pchip.py`. Points of equal rate become one.
function pchip(points) {
  const rates = unique(points.map(([x]) => x)).sort((a, b) => a - b);
  const scores = rates.map((rate) => points.filter(([x]) => x === rate).reduce((sum, [, y], _, own) => sum + y / own.length, 0));
  const width = rates.slice(1).map((x, i) => x - rates[i]);
  const secant = width.map((w, i) => (scores[i + 1] - scores[i]) / w);
  const end = (w, next, own, other) => {
    const slope = ((2 * w + next) * own - w * other) / (w + next);
    if (Math.sign(slope) !== Math.sign(own)) return 0;
    return Math.sign(own) !== Math.sign(other) && Math.abs(slope) > 3 * Math.abs(own) ? 3 * own : slope;
  };
  const inner = (i) => {
    const [left, right] = [secant[i - 1], secant[i]];
    if (!(left * right > 0)) return 0;
    const [a, b] = [width[i - 1] + 2 * width[i], 2 * width[i - 1] + width[i]];
    return (a + b) / (a / left + b / right);
  };
  const last = secant.length - 1;
  const slopes = rates.map((_, i) => {
    if (last <= 0) return secant[0] || 0;
    if (i === 0) return end(width[0], width[1], secant[0], secant[1]);
    return i > last ? end(width[last], width[last - 1], secant[last], secant[last - 1]) : inner(i);
  });
  return (at) => {
    if (rates.length === 1) return scores[0];
    const i = Math.max(0, Math.min(last, rates.findLastIndex((rate) => rate <= at)));
    const t = (at - rates[i]) / width[i];
    const rise = (3 - 2 * t) * t * t * (scores[i + 1] - scores[i]);
    return scores[i] + rise + width[i] * ((1 - t) ** 2 * t * slopes[i] + (t - 1) * t * t * slopes[i + 1]);
  };
}

// The interpolated curve of one bound of the scores, as points of the chart.
function smooth(curve, scales, key, low = rateOf(curve.cells[0]), high = rateOf(curve.cells.at(-1))) {
  const at = pchip(curve.cells.map((c) => [rateOf(c), c.score[key]]));
  const own = curve.cells.map(rateOf).filter((rate) => rate > low && rate < high);
  const between = (part) => (state.logRate ? low * (high / low) ** part : low + (high - low) * part);
  const steps = Array.from({ length: 41 }, (_, i) => between(i / 40));
  return unique([...steps, ...own]).sort((a, b) => a - b).map((rate) => [scales.x(rate), scales.y(at(rate))]);
}

const path = (points) => `M${points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L")}`;

function curveMark(curve, scales, bands) {
  const group = s("g", { class: `curve ${codecClass(curve.codec)}${curve.adapter ? " adapted" : ""}`, "data-codec": curve.codec });
  if (bands && !curve.adapter && curve.cells.length > 1 && curve.cells.every((c) => isNumber(c.score.low) && isNumber(c.score.high))) {
    group.append(s("path", { class: "band", d: `${path([...smooth(curve, scales, "high"), ...smooth(curve, scales, "low").reverse()])}Z` }));
  }
  group.append(s("path", { class: "line", d: path(smooth(curve, scales, "value")) }));
  for (const [x, y] of curve.cells.map((c) => [scales.x(rateOf(c)), scales.y(c.score.value)])) {
    group.append(s("path", { class: "point", d: marker(curve.codec), transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` }));
  }
  return group;
}

// The area between the curves without and with an adapter, over the shared rates.
function gainMark(base, adapted, scales) {
  const low = Math.max(rateOf(base.cells[0]), rateOf(adapted.cells[0]));
  const high = Math.min(rateOf(base.cells.at(-1)), rateOf(adapted.cells.at(-1)));
  if (!(high > low)) return null;
  const inside = (curve) => smooth(curve, scales, "value", low, high);
  return s("path", {
    class: `gain ${codecClass(base.codec)}`, "data-codec": base.codec,
    d: `${path([...inside(adapted), ...inside(base).reverse()])}Z`,
  });
}

// Pointer and arrow keys move through the points that are shown.
function interact(svg, curves, scales) {
  const ring = s("circle", { class: "ring", r: 7, visibility: "hidden" });
  svg.append(ring);
  let current = -1;
  const shown = () => curves.filter((curve) => !state.hidden.has(curve.codec)).flatMap((curve) => curve.cells);
  const place = (cell) => [scales.x(rateOf(cell)), scales.y(cell.score.value)];
  const select = (cell) => {
    const [x, y] = place(cell);
    fill(ring, { cx: x, cy: y, visibility: "visible" }, []);
    const box = svg.getBoundingClientRect();
    const zoom = box.width / FRAME.width;
    showTooltip(box.left + x * zoom, box.top + y * zoom, ...cellTip(cell));
  };
  const leave = () => { ring.setAttribute("visibility", "hidden"); hideTooltip(); };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const zoom = box.width / FRAME.width;
    const distance = (cell) => Math.hypot(place(cell)[0] * zoom + box.left - event.clientX, place(cell)[1] * zoom + box.top - event.clientY);
    const nearest = shown().sort((a, b) => distance(a) - distance(b))[0];
    if (nearest && distance(nearest) < 40) select(nearest);
    else leave();
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const cells = shown();
    if (!step || !cells.length) return;
    event.preventDefault();
    current = (current + step + cells.length) % cells.length;
    select(cells[current]);
  });
}

function lineChart(panel, tools = true) {
  const { title, note, curves, ceiling, xMin, xMax, gains = [], bands = true } = panel;
  const scales = chartScales(curves, ceiling, xMin, xMax);
  const svg = s("svg", {
    class: "chart", viewBox: `0 0 ${FRAME.width} ${FRAME.height}`, tabindex: 0, role: "img",
    "aria-label": `${title}: score over ${axis.column} for ${unique(curves.map((c) => codecName(c.codec))).join(", ")}. Arrow keys move through the points.`,
  },
  axes(scales, note || "score"), ceilingMark(ceiling, scales),
  gains.map(([base, adapted]) => gainMark(base, adapted, scales)),
  curves.map((curve) => curveMark(curve, scales, bands)));
  interact(svg, curves, scales);
  const figure = h("figure", { class: "panel" }, h("figcaption", null, h("b", null, title), h("span", null, note)), svg);
  if (tools) figure.append(chartTools(svg, title, () => lineChart(panel, false)));
  return figure;
}
