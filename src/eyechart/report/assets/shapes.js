// Radars with several shapes: tasks or VLMs over codecs (paper Fig. 3), VLMs over tasks (Fig. 10, 20).

const DASHES = [null, "6 3", "2 3", "8 3 2 3"];
const KEYS_IN_ROW = 2;
const shapeClass = (i) => `c${i % 8}`;

// A line around the axes with a gap where an axis has no value, and a marker at each value.
function shapeMark(shape, i, at, panel) {
  const places = shape.values.map((value, k) => (isNumber(value) ? radarPoint(k, shape.values.length, at(value)) : null));
  const lines = places.map((place, k) => [place, places[(k + 1) % places.length]]).filter(([from, to]) => from && to);
  return s("g", { class: shapeClass(i) },
    s("path", { class: "line", "stroke-dasharray": DASHES[Math.floor(i / 2) % DASHES.length], d: lines.map(path).join("") }),
    places.map((place, k) => place && s("path", { class: "point", d: MARKERS[i % MARKERS.length], transform: `translate(${place[0].toFixed(1)},${place[1].toFixed(1)})`,
      onpointerleave: hideTooltip, onpointerenter: (event) => showTooltip(event.clientX, event.clientY,
        h("div", { class: `tip-title ${shapeClass(i)}` }, h("i", { class: "dot" }), shape.name),
        line(panel.names[k], `${number(shape.values[k])}\u00a0%`), shape.tips ? shape.tips[k] : null) })));
}

function shapeKey(shape, i) {
  const [x, y] = [14 + (i % KEYS_IN_ROW) * (RADAR.width / KEYS_IN_ROW), RADAR.height + 10 + 17 * Math.floor(i / KEYS_IN_ROW)];
  return s("g", { class: shapeClass(i), transform: `translate(${x},${y})` },
    s("path", { class: "line", "stroke-dasharray": DASHES[Math.floor(i / 2) % DASHES.length], d: "M0,0H22" }),
    s("path", { class: "point", d: MARKERS[i % MARKERS.length], transform: "translate(11,0)" }),
    s("text", { class: "tick", x: 28, y: 4 }, shape.name));
}

// panel: { title, note, names of the axes, shapes: [{ name, values, tips }], low, high, rim }, in
// percent. The dashed rim is the value that the shapes are compared with.
function shapeRadar(panel, tools = true) {
  const { title, note, names, shapes, low, high, rim } = panel;
  const at = (value) => (value - low) / (high - low);
  const { ticks, digits } = niceTicks(low, high, 4);
  const rings = ticks.filter((tick) => tick > low + 0.1 * (high - low) && tick !== rim).map((tick) => ({ at: at(tick), label: `${number(tick, digits)} %` }));
  const height = RADAR.height + 17 * Math.ceil(shapes.length / KEYS_IN_ROW) + 4;
  const told = (shape) => `${shape.name}: ${names.map((name, k) => `${name} ${number(shape.values[k])} %`).join(", ")}`;
  const svg = s("svg", { class: "radar", viewBox: `0 0 ${RADAR.width} ${height}`, role: "img", "aria-label": `${title}, ${note}. ${shapes.map(told).join("; ")}` },
    radarFrame(names, rings, at(rim)), shapes.map((shape, i) => shapeMark(shape, i, at, panel)), shapes.map(shapeKey));
  return h("figure", { class: "panel", "data-codec": panel.codec }, h("figcaption", null, h("b", null, title), h("span", null, note)), svg,
    tools ? chartTools(svg, `${title}, ${note}`, () => shapeRadar(panel, false)) : null);
}

// The limits of radars that are read together: `rim` is inside, and the lowest value not in the centre.
function shapeLimits(panels, rim) {
  const values = panels.flatMap((panel) => panel.shapes.flatMap((shape) => shape.values)).filter(isNumber);
  const [low, high] = [Math.min(rim, ...values), Math.max(rim, ...values)];
  const limits = { low: low - 0.2 * (high - low || 1), high, rim };
  return panels.map((panel) => ({ ...panel, ...limits }));
}
