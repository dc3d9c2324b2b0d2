// The paper's five findings, and what this run shows of them.

function renderFindings(root) {
  const findings = page.findings || [];
  root.hidden = findings.length === 0 || analysis.cells.length === 0;
  if (root.hidden) return;
  root.replaceChildren(
    ...sectionHead("The paper's findings in this run", "Supported or contradicted by this run's own figures, or not shown by it."),
    h("ol", { class: "findings" }, findings.map((finding) => h("li", { class: finding.verdict.replace(" ", "-") },
      h("p", null, h("b", null, finding.claim), " ", h("span", { class: "verdict" }, finding.verdict)),
      h("p", null, finding.evidence)))));
}
