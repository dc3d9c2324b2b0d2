// Radar chart of each codec (paper Fig. 3): axes are tasks, the rim is the uncompressed score.

const RADAR = { width: 350, height: 262, radius: 92, cap: 1.15 };

function radarPoint(index, count, share) {
  const angle = -Math.PI / 2 + (2 * Math.PI * index) / count;
  const r = RADAR.radius * Math.min(Math.max(share, 0), RADAR.cap);
  return [RADAR.width / 2 + r * Math.cos(angle), RADAR.height / 2 + r * Math.sin(angle)];
}

// Long names break at their hyphen so that they fit the card; above the chart, so that the last line stays in place.
function axisName(name, x, y, side) {
  const parts = name.length > 10 ? name.split(/(?<=-)/) : [name];
  const top = side === "middle" && y < RADAR.height / 2 ? y - 14 * (parts.length - 1) : y;
  return s("text", { class: "tick", y: top, "text-anchor": side }, parts.map((part, i) => s("tspan", { x, dy: i ? 14 : 0 }, part)));
}

const HALF = [{ at: 0.25 }, { at: 0.5, label: "50 %" }, { at: 0.75 }];

// Axes with their names, rings of equal values, and the rim that shapes are compared with.
function radarFrame(names, rings = HALF, outer = 1) {
  const count = names.length;
  const rim = (share) => `${path(names.map((_, i) => radarPoint(i, count, share)))}Z`;
  const [cx, cy] = [RADAR.width / 2, RADAR.height / 2];
  return [
    rings.map((ring) => s("path", { class: "grid", d: rim(ring.at) })),
    s("path", { class: "rim", d: rim(outer) }),
    names.map((name, i) => {
      const [x, y] = radarPoint(i, count, 1);
      const [dx, dy] = [x - cx, y - cy];
      const length = Math.hypot(dx, dy);
      const side = Math.abs(dx) < 8 ? "middle" : dx > 0 ? "start" : "end";
      return [
        s("line", { class: "grid", x1: cx, y1: cy, x2: x, y2: y }),
        axisName(name, x + (9 * dx) / length, y + (13 * dy) / length + 4, side),
      ];
    }),
    rings.map((ring) => ring.label && s("text", { class: "tick faint", x: cx + 4, y: cy - RADAR.radius * ring.at + 11 }, ring.label)),
  ];
}

// One polygon for each level; that of the lowest rate has the strongest colour.
function radarCodec(codec, names, rows, tools = true) {
  const svg = s("svg", { class: "radar", viewBox: `0 0 ${RADAR.width} ${RADAR.height}`, role: "img",
    "aria-label": `${codecName(codec)}: score relative to uncompressed, per task. ${rows.map((row) => `${row.level}: ${row.shares.map((x, i) => `${names[i]} ${percent(x, 0)}`).join(", ")}`).join("; ")}` },
  radarFrame(names));
  rows.forEach((row, i) => {
    const strength = rows.length === 1 ? 1 : 1 - (0.75 * i) / (rows.length - 1);
    const points = row.shares.map((share, k) => radarPoint(k, names.length, share));
    const shape = s("g", { class: "shape", vars: { "--strength": strength.toFixed(2) } },
      s("path", { d: `${path(points)}Z` }),
      points.map(([x, y], k) => s("circle", { cx: x, cy: y, r: 3, onpointerenter: (event) =>
        showTooltip(event.clientX, event.clientY,
          h("div", { class: `tip-title ${codecClass(codec)}` }, h("i", { class: "dot" }), settingName(codec, row.level)),
          line(names[k], percent(row.shares[k])), line("rate", `${bpp(row.cells[k].bpp)} bpp`),
          line("score", `${number(row.cells[k].score.value)} of ${number(row.ceilings[k])}`)), onpointerleave: hideTooltip })));
    svg.append(shape);
  });
  return h("figure", { class: `panel ${codecClass(codec)}`, "data-codec": codec },
    h("figcaption", null, h("b", null, h("i", { class: "dot" }), codecName(codec))), svg,
    tools ? chartTools(svg, `${codecName(codec)}, score relative to uncompressed`, () => radarCodec(codec, names, rows, false)) : null,
    h("p", { class: "levels" }, rows.map((row, i) => h("span", { vars: { "--strength": (rows.length === 1 ? 1 : 1 - (0.75 * i) / (rows.length - 1)).toFixed(2) } },
      h("i"), `${row.level} `, h("small", null, `${bpp(row.cells.reduce((sum, c) => sum + c.bpp, 0) / row.cells.length)} bpp`)))));
}

// Only tasks with scores at every level of this codec, because a polygon needs all its corners.
function radarRows(vlm, codec) {
  const scored = tasks.filter((task) => (ceilingOf(vlm, task)?.score.value || 0) > 0);
  const cells = analysis.cells.filter((c) => c.vlm === vlm && c.codec === codec && !c.adapter && c.answered > 0 && isNumber(c.score.value));
  const levels = unique(cells.slice().sort((a, b) => a.rank - b.rank).map((c) => c.level));
  const at = (task, level) => cells.find((c) => c.task === task && c.level === level);
  const names = scored.filter((task) => levels.length && levels.every((level) => at(task, level)));
  const rows = levels.map((level) => {
    const row = names.map((task) => at(task, level));
    const ceilings = names.map((task) => ceilingOf(vlm, task).score.value);
    return { level, cells: row, ceilings, shares: row.map((c, i) => c.score.value / ceilings[i]) };
  });
  return { names, rows };
}

function renderRadar(root) {
  const found = codecs.map((codec) => ({ codec, ...radarRows(state.vlm, codec) })).filter((item) => item.names.length >= 3);
  root.hidden = found.length === 0;
  if (root.hidden) return;
  const left = found.filter((item) => item.names.length < tasks.length);
  root.replaceChildren(
    ...sectionHead("What each codec leaves of each task",
      `${state.vlm}. The dashed rim is the uncompressed score; each shape is one level, the strongest colour the lowest rate.`,
      left.length ? ` Tasks that lack a level are left out (${left.map((item) => codecName(item.codec)).join(", ")}).` : ""),
    ...byCategory(found, (item) => item.codec).flatMap((group) => [
      group.name && h("h3", { class: "category" }, group.name),
      h("div", { class: "panels radars" }, group.items.map((item) => radarCodec(item.codec, item.names, item.rows)))]).filter(Boolean));
}
