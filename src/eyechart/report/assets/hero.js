// The eye chart: one image, a line for every level, with rates that decrease downwards.

// The answer on the same image with the adapter for several codecs, if the run has one.
const helped = (example, view) => example.views.find((other) =>
  other.adapter === adaptersOf(example.vlm)[0] && other.codec === view.codec && other.level === view.level);

// The most informative example: right without compression, wrong at some lower rates, and preferably
// right again with an adapter.
function heroExample(vlm) {
  const plain = (example) => example.views.filter((view) => !view.adapter && hasPicture(view));
  const worth = (example) => {
    const views = plain(example);
    const source = views.find((view) => view.codec === SOURCE);
    const lossy = views.filter((view) => view.codec !== SOURCE);
    const share = (views) => views.length / (lossy.length || 1);
    const right = share(lossy.filter((view) => view.right));
    const back = share(lossy.filter((view) => !view.right && helped(example, view)?.right));
    return (lossy.length ? 1 : 0) + (source?.right ? 2 : 0) + 4 * right * (1 - right) + turns(lossy) + 2 * back;
  };
  return examplesOf(vlm).filter((example) => plain(example).length)
    .map((example) => ({ example, views: plain(example), worth: worth(example) }))
    .sort((a, b) => b.worth - a.worth)[0];
}

// How cleanly answers change from right to wrong with falling rate: 1 if all wrong ones are lower.
function turns(views) {
  const [right, wrong] = [views.filter((v) => v.right), views.filter((v) => !v.right)];
  if (!right.length || !wrong.length) return 0;
  const pairs = right.flatMap((r) => wrong.map((w) => (r.bpp > w.bpp ? 1 : 0)));
  return pairs.reduce((a, b) => a + b, 0) / pairs.length;
}

function verdict(view) {
  return h("span", { class: view.right ? "right" : "wrong" },
    h("span", { class: "mark", role: "img", "aria-label": view.right ? "right:" : "wrong:" }, view.right ? "\u2713" : "\u2717"),
    h("span", { class: "said" }, view.answer.trim() || "(nothing)"));
}

function viewName(view) {
  return view.codec === SOURCE ? "uncompressed" : settingName(view.codec, view.level);
}

function optotype(example, view) {
  return h("figure", { class: codecClass(view.codec), "data-codec": view.codec === SOURCE ? null : view.codec },
    h("button", { class: "picture", type: "button", onclick: () => openLightbox(example, view),
      "aria-label": `${viewName(view)}, ${bpp(view.bpp)} bits per pixel. Enlarge.` },
    h("img", { src: `data:image/png;base64,${picture(view)}`, alt: "" })),
    h("figcaption", null,
      h("span", { class: "who" }, h("i", { class: "dot" }), viewName(view)),
      h("span", { class: "rate" }, `${bpp(view.bpp)} bpp`), verdict(view),
      helped(example, view) && h("span", { class: "helped" }, "with adapter ", verdict(helped(example, view)))));
}

// Lines of the chart: the uncompressed image first, then the levels of all codecs from the highest.
function heroLines(views) {
  const lines = [];
  const source = views.filter((view) => view.codec === SOURCE).slice(0, 1);
  if (source.length) lines.push(source);
  for (const codec of codecs) {
    const own = views.filter((view) => view.codec === codec).sort((a, b) => b.bpp - a.bpp);
    own.forEach((view, i) => {
      const row = i + source.length;
      (lines[row] ||= []).push(view);
    });
  }
  return lines;
}

function renderHero(root) {
  const hero = heroExample(state.vlm);
  root.hidden = !hero;
  if (!hero) return;
  const { example, views } = hero;
  const lines = heroLines(views);
  root.replaceChildren(
    h("div", { class: "eyechart" },
      h("p", { class: "asked" }, `\u201c${example.question.trim()}\u201d`),
      h("p", { class: "expected" }, "The reference answer is ", h("b", null, example.reference), ". ", example.vlm, " answers:"),
      lines.map((row, i) => h("div", { class: "chart-line", vars: { "--step": Math.min(i, 5) } },
        h("span", { class: "fraction", role: "img", "aria-label": `${row.filter((v) => v.right).length} of ${row.length} right` },
          h("b", null, row.filter((v) => v.right).length), h("i", null, row.length)),
        h("div", { class: "line-pictures" }, row.map((view) => optotype(example, view))),
        h("span", { class: "line-number", "aria-hidden": "true" }, i + 1))),
      h("p", { class: "fine" }, `One question of ${example.task}, chosen because its answers differ; the measurements below are over all questions. `,
        `Every line down has fewer bits. The fraction counts right answers${views.some((view) => helped(example, view)) ? ` without the adapter \u201c${adaptersOf(example.vlm)[0]}\u201d` : ""}. Click an image to enlarge it.`)));
}
