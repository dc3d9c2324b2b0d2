// What every chart can do: be shown large, and be saved as SVG or PNG.

// A saved file has no style sheet: the styles that the page gives are written into its elements.
const SAVED_STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linejoin",
  "stroke-linecap", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "paint-order", "visibility", "display"];

const codecsOf = (svg) => unique([...svg.querySelectorAll("[data-codec]")].map((node) => node.dataset.codec));

// Line, marker and name of a codec, with the colours written into them.
function savedKey(codec, x, y) {
  const colour = getComputedStyle(document.body).getPropertyValue(`--c${styleOf(codec) % 8}`).trim();
  return s("g", { transform: `translate(${x},${y})` },
    s("path", { d: "M0,0H20", style: `stroke: ${colour}; stroke-width: 1.9` }),
    s("path", { d: marker(codec), transform: "translate(10,0)", style: `fill: ${colour}` }),
    s("text", { x: 26, y: 4, style: `font: 11px sans-serif; fill: ${getComputedStyle(document.body).color}` }, codecName(codec)));
}

function svgText(svg, title) {
  const copy = svg.cloneNode(true);
  const [from, to] = [svg, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  from.forEach((node, i) => {
    const style = getComputedStyle(node);
    for (const name of SAVED_STYLES) to[i].style.setProperty(name, style.getPropertyValue(name));
    to[i].removeAttribute("class");
    to[i].removeAttribute("tabindex");
  });
  const box = svg.viewBox.baseVal;
  const codecsThere = codecsOf(svg);
  const [head, row, inRow] = [22, 16, 3];
  const foot = codecsThere.length > 1 ? row * Math.ceil(codecsThere.length / inRow) + 6 : 0;
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("viewBox", `0 ${-head} ${box.width} ${box.height + head + foot}`);
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height + head + foot);
  if (foot) copy.append(...codecsThere.map((codec, i) => savedKey(codec, 12 + (i % inRow) * (box.width / inRow), box.height + 10 + row * Math.floor(i / inRow))));
  copy.style.setProperty("background", getComputedStyle(document.body).getPropertyValue("--card"));
  copy.prepend(s("text", { x: 8, y: -7, style: `font: 600 13px sans-serif; fill: ${getComputedStyle(document.body).color}` }, title));
  return new XMLSerializer().serializeToString(copy);
}

function download(name, blob) {
  const address = URL.createObjectURL(blob);
  h("a", { download: name, href: address }).click();
  setTimeout(() => URL.revokeObjectURL(address), 30000);
}

const fileName = (title) => title.replace(/[^\w.+-]+/g, "-").replace(/^-+|-+$/g, "") || "chart";

function saveSvg(svg, title) {
  download(`${fileName(title)}.svg`, new Blob([svgText(svg, title)], { type: "image/svg+xml" }));
}

// Three times the size of the page, for print.
async function savePng(svg, title) {
  const text = svgText(svg, title);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = h("canvas", { width: 3 * image.width, height: 3 * image.height });
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).getPropertyValue("--card") || "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => download(`${fileName(title)}.png`, blob));
}

// The chart alone in the dialog, drawn again so that it stays interactive. `draw` makes the figure.
function openChart(draw, title) {
  hideTooltip();
  lightbox.onkeydown = null;
  lightbox.onclick = (event) => { if (event.target === lightbox) lightbox.close(); };
  const figure = draw();
  const keys = codecsOf(figure).map((codec) => h("span", { class: codecClass(codec) }, legendKey(codec), codecName(codec)));
  lightbox.replaceChildren(
    h("div", { class: "bar" }, h("button", { type: "button", class: "close", onclick: () => lightbox.close(), "aria-label": "Close" }, "\u00d7")),
    h("div", { class: "canvas large-chart" }, figure), h("div", { class: "about" }, keys));
  lightbox.showModal();
}

// Buttons below a chart. `draw` draws the same figure again, without its buttons.
function chartTools(svg, title, draw) {
  svg.addEventListener("click", () => { if (!lightbox.open) openChart(draw, title); });
  return h("p", { class: "chart-tools" },
    h("button", { type: "button", onclick: () => openChart(draw, title), "aria-label": `Show ${title} large` }, "Large"),
    h("button", { type: "button", onclick: () => saveSvg(svg, title), "aria-label": `Save ${title} as SVG` }, "SVG"),
    h("button", { type: "button", onclick: () => savePng(svg, title), "aria-label": `Save ${title} as PNG` }, "PNG"));
}
