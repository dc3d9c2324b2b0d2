// One image, enlarged without smoothing, so that the pixels are those that the VLM received.

const lightbox = $("lightbox");

function openLightbox(example, first) {
  const views = frames(example.views).map((same) => same[0]).filter(hasPicture)
    .sort((a, b) => (codecIndex.get(a.codec) ?? -1) - (codecIndex.get(b.codec) ?? -1) || b.bpp - a.bpp);
  const source = views.find((view) => view.codec === SOURCE);
  let index = Math.max(0, views.findIndex((v) => v.codec === first.codec && v.level === first.level));
  if (!views.length) return;
  let zoom = 0; // 0: as large as the window allows

  const image = h("img", { alt: "" });
  const about = h("div", { class: "about" });
  const compare = h("button", { type: "button", class: "compare", disabled: !source }, "Hold to see uncompressed");
  const zooms = [0, 1, 2, 4, 8].map((factor) => h("button", { type: "button", "data-zoom": factor,
    onclick: () => { zoom = factor; draw(); } }, factor ? `${factor}\u00d7` : "Fit"));

  const size = () => {
    const width = image.naturalWidth || 1;
    const height = image.naturalHeight || 1;
    const space = [lightbox.clientWidth - 48, lightbox.clientHeight - 190];
    const factor = zoom || Math.min(space[0] / width, space[1] / height);
    image.style.width = `${Math.max(1, width * factor)}px`;
  };
  const note = h("p", { class: "muted" });
  const put = (view) => { image.src = `data:image/png;base64,${picture(view)}`; };
  const draw = () => {
    const view = views[index];
    put(view);
    image.alt = `${viewName(view)}, ${bpp(view.bpp)} bits per pixel`;
    for (const button of zooms) button.setAttribute("aria-pressed", String(Number(button.dataset.zoom) === zoom));
    const said = example.views.filter((v) => v.codec === view.codec && v.level === view.level);
    about.replaceChildren(
      h("p", { class: codecClass(view.codec) }, h("i", { class: "dot" }), h("b", null, viewName(view)), ` ${bpp(view.bpp)} bpp`,
        Object.entries(view.quality).filter(([, value]) => isNumber(value)).map(([name, value]) => `, ${name} ${value.toPrecision(4)}`).join("")),
      h("p", { class: "muted" }, `${example.question.trim()} (${example.reference})`),
      note, ...said.map((v) => h("p", null, v.adapter ? h("span", { class: "adapter-name" }, v.adapter) : null, verdict(v))));
    size();
  };
  const go = (by) => { index = (index + by + views.length) % views.length; draw(); };

  image.addEventListener("load", () => { size(); note.textContent = reducedNote(views[index], image); });
  compare.addEventListener("pointerdown", () => put(source));
  for (const name of ["pointerup", "pointerleave"]) compare.addEventListener(name, () => put(views[index]));
  compare.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") put(source); });
  compare.addEventListener("keyup", () => put(views[index]));
  lightbox.onkeydown = (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      event.preventDefault();
      go(event.key === "ArrowRight" ? 1 : -1);
    }
  };
  lightbox.onclick = (event) => { if (event.target === lightbox) lightbox.close(); };
  lightbox.replaceChildren(
    h("div", { class: "bar" },
      h("button", { type: "button", onclick: () => go(-1), "aria-label": "Previous image" }, "\u2190"),
      h("button", { type: "button", onclick: () => go(1), "aria-label": "Next image" }, "\u2192"),
      h("span", { class: "zooms", role: "group", "aria-label": "Zoom" }, zooms), compare,
      h("button", { type: "button", class: "close", onclick: () => lightbox.close(), "aria-label": "Close" }, "\u00d7")),
    h("div", { class: "canvas" }, image), about);
  hideTooltip();
  lightbox.showModal();
  draw();
}
