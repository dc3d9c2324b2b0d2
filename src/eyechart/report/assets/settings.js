// The settings of a recommendation: a table, and loss over cost with the Pareto front.

const WIDE_COSTS = 5; // the greatest cost over the least; over less, powers of ten give hardly a tick

function settingMark(point, x, y, one) {
  const [cx, cy, bound] = [x(point.cost), y(point.loss), y(Math.max(point.upper, point.loss))];
  const words = [point.best && "recommended", point.today && "today"].filter(Boolean).join(", ");
  return s("g", { class: codecClass(point.codec), "data-codec": point.codec, onpointerleave: hideTooltip,
    onpointerenter: (event) => showTooltip(event.clientX, event.clientY,
      h("div", { class: `tip-title ${codecClass(point.codec)}` }, h("i", { class: "dot" }), point.name, words ? `, ${words}` : ""),
      line(one.cost, number(point.cost, one.decimals)), line("loss", number(point.loss)), line("at most", number(point.upper))) },
  s("path", { class: "bound", d: `M${cx.toFixed(1)},${cy.toFixed(1)}V${bound.toFixed(1)}` }),
  s("path", { class: "point", d: marker(point.codec), transform: `translate(${cx.toFixed(1)},${cy.toFixed(1)})` }),
  words ? s("circle", { class: `chosen${point.best ? "" : " today"}`, cx, cy, r: point.best ? 7.5 : 9.5 }) : null);
}

function frontChart(one, tools = true) {
  const { width, height, left, right, top, bottom } = FRAME;
  const costs = one.points.map((point) => point.cost);
  const losses = one.points.flatMap((point) => [point.loss, point.upper]).concat(0, one.tolerance);
  const [least, most] = [Math.min(...costs), Math.max(...costs)];
  const logarithmic = least > 0 && most / least >= WIDE_COSTS;
  const beside = padOf(least, most, 0.05, 0.02 * most || 1);
  const [from, to] = logarithmic ? [least / 1.15, most * 1.15] : [Math.max(0, least - beside), most + beside];
  const at = logarithmic ? Math.log : (value) => value;
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const pad = padOf(low, high, 0.06, 1);
  const x = (cost) => left + ((width - left - right) * (at(cost) - at(from))) / (at(to) - at(from));
  const y = (loss) => height - bottom - ((height - top - bottom) * (loss - low + pad)) / (high - low + 2 * pad);
  const [ys, even] = [niceTicks(low - pad, high + pad, 5), niceTicks(from, to, 5)];
  const xs = logarithmic ? logTicks(from, to) : even.ticks;
  const title = "Loss over cost";
  const svg = s("svg", { class: "chart front", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${one.name}: loss over ${one.cost}. ${one.points.map((point) => `${point.name}: ${number(point.cost, one.decimals)}, loss ${number(point.loss)}, at most ${number(point.upper)}`).join("; ")}` },
  ys.ticks.map((tick) => [s("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
    s("text", { class: "tick", x: left - 7, y: y(tick) + 3.5, "text-anchor": "end" }, number(tick, ys.digits))]),
  s("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
  xs.map((tick) => s("text", { class: "tick", x: x(tick), y: height - bottom + 16, "text-anchor": "middle" }, logarithmic ? rateTick(tick) : number(tick, even.digits))),
  s("text", { class: "axis-name", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, `${one.cost}${logarithmic ? ", logarithmic" : ""}`),
  s("text", { class: "axis-name", x: 0, y: 0, "text-anchor": "middle", transform: `translate(11,${(top + height - bottom) / 2}) rotate(-90)` }, "points lost, and bound"),
  s("g", { class: "ceiling" }, s("line", { x1: left, x2: width - right, y1: y(one.tolerance), y2: y(one.tolerance) }),
    s("text", { x: width - right - 2, y: y(one.tolerance) - 4, "text-anchor": "end" }, `allowed ${one.tolerance}`)),
  s("path", { class: "pareto", d: path(one.points.filter((point) => point.front).map((point) => [x(point.cost), y(point.loss)])) }),
  one.points.map((point) => settingMark(point, x, y, one)));
  return h("figure", { class: "panel" }, h("figcaption", null, h("b", null, title), h("span", null, `line: Pareto front${one.points.some((point) => point.best) ? "; ring: recommended" : ""}`)), svg,
    tools ? chartTools(svg, `${one.name}, ${title}`, () => frontChart(one, false)) : null);
}

function settingsTable(one, caption = `${one.name}: settings`) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { class: "pair-table settings" }, h("caption", { class: "sr" }, caption),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Setting"), one.columns.map((name) => h("th", { scope: "col", class: "num" }, name)))),
      h("tbody", null, one.rows.map((row) => h("tr", { class: row.best ? "best" : null, "data-codec": row.codec },
        h("th", { scope: "row", class: codecClass(row.codec) }, h("i", { class: "dot" }), row.name, row.best ? h("small", null, "recommended") : null),
        row.figures.map((text) => h("td", { class: "num" }, text)))))));
}

function renderSettings(root) {
  const own = (page.settings || []).filter((one) => one.vlm === state.vlm);
  root.hidden = own.length === 0;
  if (root.hidden) return;
  root.replaceChildren(...own.flatMap((one, i) => [
    ...(i ? [h("h3", null, one.title)] : sectionHead("Settings", `${one.title}.`)),
    settingsTable(one), h("p", { class: "lead below" }, `${one.legend}.`),
    ...(one.rules ? [h("h3", null, one.rules.title), settingsTable(one.rules, one.rules.title)] : []),
    ...(one.answers.length ? [h("p", { class: "lead below" }, one.answers.join(" "))] : []),
    ...(one.points.length > 1 ? [h("div", { class: "panels" }, frontChart(one))] : []),
  ]));
}
