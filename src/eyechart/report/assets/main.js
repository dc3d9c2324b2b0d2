// Builds the page.

function renderFacts() {
  const answered = analysis.cells.reduce((sum, cell) => sum + cell.answered, 0);
  const facts = [
    analysis.title, analysis.data && `data ${analysis.data}`,
    plural(vlms.filter((vlm) => !choiceVlms.has(vlm)).length || vlms.length, "VLM"), plural(tasks.length, "task"), plural(codecs.length, "codec"),
    plural(answered, "scored answer"), analysis.created.slice(0, 10),
  ].filter(Boolean);
  $("facts").replaceChildren(...facts.map((fact) => h("span", null, fact)));
}

// Failures are shown above the first number, so that readers of a score have seen them.
function renderAlarm() {
  const failed = analysis.failures.reduce((sum, [, count]) => sum + count, 0);
  if (!failed) return;
  $("alarm").replaceChildren(h("details", { class: "alarm" },
    h("summary", null, `${plural(failed, "question")} failed and ${failed === 1 ? "is" : "are"} in no score`),
    h("ul", null, analysis.failures.map(([what, count]) => h("li", null, h("b", null, count.toLocaleString("en")), ` ${what}`)))));
}

function legendKey(codec) {
  return s("svg", { class: `key ${codecClass(codec)}`, viewBox: "0 0 26 12", "aria-hidden": "true" },
    s("path", { class: "line", d: "M1,6H25" }), s("path", { class: "point", d: marker(codec), transform: "translate(13,6)" }));
}

function renderToolbar() {
  const toggle = (codec) => {
    if (state.hidden.has(codec)) state.hidden.delete(codec);
    else state.hidden.add(codec);
    // Hiding the last visible codec shows all again.
    if (state.hidden.size === codecs.length) state.hidden.clear();
    renderAll();
    writeLink();
    $("toolbar").querySelector(`[data-toggle="${CSS.escape(codec)}"]`)?.focus();
  };
  const chip = (codec) => h("button", { type: "button", class: "chip", "data-toggle": codec, "aria-pressed": "true",
    onclick: () => toggle(codec) }, legendKey(codec), codecName(codec));
  const chips = byCategory(codecs).map((group) => [group.name ? h("span", { class: "category" }, group.name) : null, group.items.map(chip)]);
  const choice = h("select", { "aria-label": "VLM", onchange: () => {
    state.vlm = choice.value;
    state.example = 0;
    renderAll();
    writeLink();
  } }, vlms.map((vlm) => h("option", { value: vlm, selected: vlm === state.vlm }, vlm)));
  const links = [["settings", "Settings"], ["bd", "BD-Metric"], ["shares", "By task"], ["pairs", "Codec against codec"], ["curves", "Curves"], ["acuity", "Acuity"], ["radar", "Radar"], ["vlms", "VLMs"], ["pictures", "Images"], ["adapters", "Adapter"], ["icm", "For machines"], ["scaling", "Size"], ["gap", "Gap"], ["quality", "Quality metrics"], ["scores", "Scores"], ["findings", "Findings"], ["methods", "Methods"]]
    .filter(([id]) => !$(id).hidden)
    // The address stores the current view, so jumping to a section must not overwrite it.
    .map(([id, name]) => h("a", { href: `#${id}`, onclick: (event) => {
      event.preventDefault();
      $(id).scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    } }, name));
  $("toolbar").replaceChildren(
    h("div", { class: "toolbar-inner" },
      h("span", { class: "links" }, links),
      vlms.length > 1 ? choice : null,
      codecs.length > 1 ? h("span", { class: "chips", role: "group", "aria-label": "Codecs shown" }, chips) : null));
}

function renderMethods(root) {
  const download = downloadLink("analysis.json", "application/json", analysisText);
  const entry = (name, ...text) => [h("dt", null, name), h("dd", null, text)];
  root.replaceChildren(
    ...sectionHead("How this was measured"),
    h("dl", null,
      entry("Rate", (axis.name === "bpp" ? "" : `Curves and BD-Metrics are over ${axis.column}${axis.name === "usd" || axis.name === "tokens" ? "; each setting of a codec has a curve over its sizes" : ""}. `) + "Bits per pixel: the bytes of the bitstream that a decoder needs, times eight, over the pixels of the original image. A point of a curve is the mean over images."),
      entry("BD-Metric", "Scores interpolated with PCHIP over the linear rate, averaged over the codec's own range of rates, minus the uncompressed score. Between two curves: the mean difference over the range of rates both share."),
      entry("Interval", analysis.bootstrap_samples > 0
        ? `95 % of ${analysis.bootstrap_samples.toLocaleString("en")} bootstrap samples, drawn over images (not questions) and paired between the curves that are compared; seed ${analysis.seed}.`
        : "This analysis has no bootstrap; values have no intervals."),
      entry("Finding", (page.settings || []).length ? "The title is the last recommendation asked for: the cheapest setting whose loss is at most the tolerance with 95 % certainty, for all codecs together." : "The title names the codec, task and VLM whose lowest rate costs the largest share of the uncompressed score, and a codec that is significantly better at the same or a lower rate, if there is one; such cases come first. Scores between levels are interpolated as for BD-Metric."),
      entry("Answers", "Greedy decoding. An answer that cannot be parsed is wrong; the share of such answers is shown with every score. Tasks asked with a choice set are listed apart from those with free answers."),
      entry("Made with", `eyechart ${analysis.eyechart_version}, ${analysis.created}.`)),
    ...measuredTable(), ...commandList(),
    h("p", null, download));
}

const SECTIONS = [
  ["hero", renderHero], ["settings", renderSettings], ["bd", renderBd], ["shares", renderShares], ["pairs", renderPairs], ["curves", renderCurves], ["acuity", renderAcuity], ["radar", renderRadar], ["vlms", renderVlms], ["pictures", renderPictures],
  ["adapters", renderAdapters], ["icm", renderIcm], ["scaling", renderScaling], ["gap", renderGap], ["quality", renderQuality], ["scores", renderScores], ["findings", renderFindings], ["methods", renderMethods],
];

function renderAll() {
  for (const [id, render] of SECTIONS) render($(id));
  renderToolbar();
  applyHidden();
}

// A printed page cannot be unfolded.
let unfolded = [];
window.addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")];
  for (const node of unfolded) node.open = true;
  splitForPaper();
});
window.addEventListener("afterprint", () => { joinAfterPaper(); for (const node of unfolded) node.open = false; });
window.addEventListener("hashchange", () => { readLink(); renderAll(); });

readLink();
renderFacts();
renderAlarm();
renderAll();
document.documentElement.dataset.ready = "true";
