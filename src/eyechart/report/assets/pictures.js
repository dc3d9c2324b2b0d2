// Side by side (paper Fig. 2 and 8): one image under every codec and level, with the answers.

// The VLM gets the same image with and without an adapter: one frame with both answers.
function frames(views) {
  const found = new Map();
  for (const view of views) {
    const key = `${view.codec}\n${view.level}`;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(view);
  }
  return [...found.values()].map((same) => same.slice().sort((a, b) => (a.adapter > b.adapter) - (a.adapter < b.adapter)));
}

function frame(example, same) {
  const view = same[0];
  const several = same.some((v) => v.adapter);
  return h("figure", { class: `frame ${codecClass(view.codec)}` },
    h("button", { class: "picture", type: "button", onclick: () => openLightbox(example, view),
      "aria-label": `${viewName(view)}, ${bpp(view.bpp)} bits per pixel. Enlarge.` },
    hasPicture(view)
      ? h("img", { src: `data:image/png;base64,${picture(view)}`, alt: "" })
      : h("span", { class: "no-picture" }, "no image kept")),
    h("figcaption", null,
      h("span", { class: "rate" }, view.codec === SOURCE ? "uncompressed" : view.level, h("b", null, `${bpp(view.bpp)} bpp`),
        isNumber(view.quality["PSNR dB"]) ? h("span", null, `${number(view.quality["PSNR dB"], 1)} dB`) : null),
      same.map((v) => h("span", { class: "answer", title: v.answer },
        several ? h("span", { class: "adapter-name" }, v.adapter || "without") : null, verdict(v)))));
}

// The image as it is shown: reduced, unless the report was made with --full-size.
function reducedNote(view, image) {
  if (!view.width_px || !image.naturalWidth || image.naturalWidth === view.width_px) return "";
  return `reduced to ${image.naturalWidth}\u00d7${image.naturalHeight} of ${view.width_px}\u00d7${view.height_px} pixels`;
}

// How many answers are right, and from which rate down they are wrong, of the levels that are shown
// without an adapter.
function rightOf(frames) {
  const plain = frames.map((same) => same.find((view) => !view.adapter)).filter(Boolean).sort((a, b) => a.bpp - b.bpp);
  const first = plain.findIndex((view) => view.right);
  const last = first < 0 ? plain.at(-1) : plain[first - 1];
  const count = plain.filter((view) => view.right).length;
  if (!plain.length) return null;
  return `${count} of ${plain.length} right${last ? `, wrong from ${bpp(last.bpp)} bpp down` : ""}`;
}

function exampleView(example) {
  const all = frames(example.views);
  const source = all.find((same) => same[0].codec === SOURCE);
  const rows = codecs.map((codec) => ({
    codec, frames: all.filter((same) => same[0].codec === codec).sort((a, b) => b[0].bpp - a[0].bpp),
  })).filter((row) => row.frames.length);
  return h("div", { class: "side-by-side" },
    h("div", { class: "asked-card" },
      h("p", { class: "task-tag" }, example.task),
      h("p", { class: "question" }, example.question.trim()),
      h("p", { class: "reference" }, "Reference: ", h("b", null, example.reference)),
      source ? frame(example, source) : null),
    h("div", { class: rows.every((row) => row.frames.length === 1) ? "codec-rows side" : "codec-rows" }, byCategory(rows, (row) => row.codec).map((group) => [
      group.name ? h("h3", { class: "category" }, group.name) : null,
      group.items.map((row) => h("div", { class: "codec-row", "data-codec": row.codec },
        h("h3", { class: codecClass(row.codec) }, h("i", { class: "dot" }), codecName(row.codec),
          row.frames.length > 1 ? h("small", null, rightOf(row.frames)) : null),
        h("div", { class: "strip" }, row.frames.map((same) => frame(example, same)))))])));
}

function renderPictures(root) {
  const examples = examplesOf(state.vlm);
  root.hidden = examples.length === 0;
  if (root.hidden) return;
  state.example = Math.min(state.example, examples.length - 1);
  const stage = h("div", { id: "stage" });
  const select = h("select", { id: "question", onchange: () => show(Number(select.value)) },
    unique(examples.map((example) => example.task)).map((task) => h("optgroup", { label: task },
      examples.map((example, i) => (example.task === task
        ? h("option", { value: i }, shorten(example.question, 80)) : null)))));
  const show = (index) => {
    state.example = (index + examples.length) % examples.length;
    select.value = state.example;
    stage.replaceChildren(exampleView(examples[state.example]));
    applyHidden();
    writeLink();
  };
  const step = (by) => () => show(state.example + by);
  root.replaceChildren(
    ...sectionHead("What the VLM saw, and what it said",
      "The same image through every codec, with the answers. Click an image to enlarge it; there it can be compared with the uncompressed one."),
    h("div", { class: "picker" },
      h("label", { for: "question" }, "Question"), select,
      h("button", { type: "button", onclick: step(-1), "aria-label": "Previous question" }, "\u2190"),
      h("button", { type: "button", onclick: step(1), "aria-label": "Next question" }, "\u2192"),
      h("span", { class: "muted" }, `${plural(examples.length, "question")} kept`)),
    stage, ...flipTable());
  show(state.example);
}

// The questions that are lost at the highest rates, over all images of the run.
function flipTable() {
  const own = (analysis.flips || []).filter((flip) => flip.vlm === state.vlm && !state.hidden.has(flip.codec));
  if (!own.length) return [];
  const caption = "Lost first: right on the uncompressed image, wrong from this rate down";
  return [h("details", { class: "more" }, h("summary", null, caption),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
      h("table", { class: "flips" }, h("caption", { class: "sr" }, caption),
        h("thead", null, h("tr", null, ["Question", "Codec", "bpp", "Answer", "Image"].map((name) => h("th", { scope: "col", class: name === "bpp" ? "num" : "" }, name)))),
        tasks.map((task) => [task, own.filter((flip) => flip.task === task).sort((a, b) => b.bpp - a.bpp)]).filter(([, rows]) => rows.length).map(([task, rows]) => h("tbody", null,
          h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: 5 }, task)),
          rows.map((flip) => h("tr", null, h("td", null, shorten(flip.question, 90)),
            h("td", { class: codecClass(flip.codec) }, h("i", { class: "dot" }), settingName(flip.codec, flip.level)),
            h("td", { class: "num" }, bpp(flip.bpp)), h("td", null, shorten(flip.answer, 40) || "(nothing)"), h("td", null, shorten(flip.image, 30)))))))))];
}

function shorten(text, length) {
  const flat = text.replace(/\s+/g, " ").trim();
  return flat.length > length ? `${[...flat].slice(0, length - 1).join("")}\u2026` : flat;
}
