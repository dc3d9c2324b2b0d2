// Building elements. Strings become text nodes, never markup: answers are arbitrary text.

// Errors are stored on the page, where tests can read them.
window.addEventListener("error", (event) => {
  const root = document.documentElement;
  root.dataset.errors = `${root.dataset.errors || ""}${event.message}\n`;
});

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "vars") {
      for (const [key, item] of Object.entries(value)) node.style.setProperty(key, item);
    } else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);
const $ = (id) => document.getElementById(id);

const MINUS = "\u2212";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function number(value, digits = 1) {
  if (!isNumber(value)) return "\u2013";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", MINUS);
}

const signed = (value, digits = 1) => (value > 0 && number(value, digits) !== number(0, digits) ? "+" : "") + number(value, digits);
const percent = (share, digits = 1) => `${number(100 * share, digits)}\u00a0%`;
const bpp = (value) => number(value, value >= 1 ? 2 : 3);

// Equal bounds mean that nothing was resampled, so there is no interval to show.
function intervalText(interval, format = number) {
  if (!interval || interval.low === interval.high || !isNumber(interval.low)) return "";
  return `[${format(interval.low)}, ${format(interval.high)}]`;
}

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const imagesText = (info) => (info.whole_images ? `${info.images.toLocaleString("en")} of ` : "") + plural(info.whole_images || info.images, "image");
const unique = (items) => [...new Set(items)];

function sectionHead(title, ...lead) {
  return [h("h2", null, title), ...(lead.length ? [h("p", { class: "lead" }, lead)] : [])];
}

// A button that makes its file when it is clicked.
function downloadLink(name, type, text) {
  const link = h("a", { class: "button", download: name, href: "#", onclick: () => {
    const address = URL.createObjectURL(new Blob([text()], { type }));
    link.href = address;
    setTimeout(() => { URL.revokeObjectURL(address); link.href = "#"; }, 30000);
  } }, `Download ${name}`);
  return link;
}
