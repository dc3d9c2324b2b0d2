// One tooltip for the page. It is also a live region for screen readers.

const tooltip = $("tooltip");

function showTooltip(x, y, ...content) {
  tooltip.replaceChildren(...content.flat().filter(Boolean));
  tooltip.hidden = false;
  const box = tooltip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth - 8 ? x - 14 - box.width : x + 14;
  const top = Math.min(Math.max(8, y - box.height / 2), innerHeight - box.height - 8);
  tooltip.style.left = `${Math.max(8, left)}px`;
  tooltip.style.top = `${top}px`;
}

const hideTooltip = () => { tooltip.hidden = true; };

// For elements with one tooltip for the whole element: table cells, bars.
function explain(node, content) {
  const show = () => {
    const box = node.getBoundingClientRect();
    showTooltip(box.right - Math.min(box.width / 2, 60), box.top + box.height / 2, ...content());
  };
  for (const name of ["pointerenter", "focus"]) node.addEventListener(name, show);
  for (const name of ["pointerleave", "blur"]) node.addEventListener(name, hideTooltip);
  return node;
}

const line = (label, value) => h("div", { class: "tip-line" }, h("span", null, label), h("b", null, value));

function cellTip(cell) {
  return [
    h("div", { class: `tip-title ${codecClass(cell.codec)}` },
      h("i", { class: "dot" }), codecName(cell.codec), cell.level ? ` ${cell.level}` : "", cell.adapter ? `, ${cell.adapter}` : ""),
    line("rate", rateText(rateOf(cell))),
    line(cell.metric || metricName(cell.task) || "score", number(cell.score.value)),
    intervalText(cell.score) ? line("95 % interval", intervalText(cell.score)) : null,
    cell.loss ? line("below uncompressed", number(cell.loss.value)) : null,
    cell.loss && intervalText(cell.loss) ? line("95 % interval, paired", intervalText(cell.loss)) : null,
    line("answered", `${cell.answered.toLocaleString("en")} of ${cell.questions.toLocaleString("en")}`),
    cell.failed ? line("failed", cell.failed.toLocaleString("en")) : null,
    line("unparsed", percent(cell.unparsed_share)),
  ];
}

window.addEventListener("scroll", hideTooltip, { passive: true });
window.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTooltip(); });
