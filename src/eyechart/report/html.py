"""One analysis as one HTML file that needs only a browser.

    analysis --analysis_json--> JSON, images pooled --+
    finding  --escaped--> title                  +--> template.html --> report.html
    assets/*.css, *.js   --hashed into the CSP---+

Scripts in the page build it from the embedded JSON. Text of a run (answers, names) is only in JSON
data or text nodes, and the content security policy allows only the page's own scripts, so that an
answer with markup is shown as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from eyechart.analysis.axis import BPP
from eyechart.analysis.codec_names import codec_label
from eyechart.analysis.files import analysis_json
from eyechart.analysis.findings import PaperFinding, paper_findings
from eyechart.analysis.recommend import Recommendation
from eyechart.analysis.recommend_view import recommendation_sentences
from eyechart.analysis.result import Analysis
from eyechart.analysis.thresholds import beyond, smallest_read
from eyechart.core.identity import finite_json
from eyechart.core.types import UNCOMPRESSED, Json
from eyechart.report.finding import find
from eyechart.report.settings import settings_json
from eyechart.report.style import styles
from eyechart.store.files import write_atomic
from eyechart.store.own_files import OwnFiles

# In order of their dependencies; all share one scope.
SCRIPTS = (
    "dom.js",
    "model.js",
    "tooltip.js",
    "charttools.js",
    "linechart.js",
    "hero.js",
    "settings.js",
    "bdtable.js",
    "pairs.js",
    "curves.js",
    "acuity.js",
    "radar.js",
    "shapes.js",
    "shares.js",
    "vlms.js",
    "pictures.js",
    "lightbox.js",
    "adapters.js",
    "icm.js",
    "scaling.js",
    "gap.js",
    "measured.js",
    "quality.js",
    "scores.js",
    "findings.js",
    "main.js",
)
STYLES = ("page.css", "parts.css", "print.css")


def write_report(
    analysis: Analysis,
    path: Path,
    recommended: Sequence[Recommendation] = (),
    own: OwnFiles | None = None,
) -> None:
    """Write the report, replacing an older one in one step. recommended, own: as for
    `render_report`.

    Raises:
        StoreError: the file cannot be written.
    """
    write_atomic(path, render_report(analysis, recommended, own).encode("utf-8", errors="replace"))


def render_report(
    analysis: Analysis,
    recommended: Sequence[Recommendation] = (),
    own: OwnFiles | None = None,
) -> str:
    """The page as text. Deterministic: the same analysis gives the same bytes.

    recommended: what the page opens with, before the run's own finding. own: the files that were
    sent until now.
    """
    data, images = _pool_images(analysis_json(analysis))
    finding = find(analysis)
    named = (name for adapter in analysis.adapters for name in adapter.trained_codecs)
    codecs = sorted({*(cell.codec for cell in analysis.cells), *named})
    page: Json = {
        "pictures": images,
        "labels": {codec: codec_label(codec) for codec in codecs},
        "findings": [asdict(finding) for finding in _findings(analysis)],
        "settings": [settings_json(one, own) for one in recommended],
        "sizes": _sizes(analysis),
        "styles": dict(styles([codec for codec in codecs if codec != UNCOMPRESSED])),
    }
    # One closure: the files share names only with each other.
    script = '"use strict";\n(() => {\n' + "\n".join(_asset(name) for name in SCRIPTS) + "})();\n"
    style = "\n".join(_asset(name) for name in STYLES)
    # A title has no full stop, a sentence below it has one.
    opening = [text for one in recommended for text in recommendation_sentences(one, own)]
    # That nothing is lost would contradict a recommendation of more bits, which asks for a proof.
    measured = [] if opening and finding.no_loss else [f"{finding.headline}."]
    sentences = [*opening, *measured, *finding.details]
    headline, details = sentences[0].removesuffix("."), sentences[1:]
    parts = {
        "title": html.escape(f"{analysis.title}: eyechart report"),
        "headline": _unbroken(html.escape(headline)),
        "details": "".join(f"<li>{html.escape(text)}</li>" for text in details),
        "csp": (
            f"default-src 'none'; img-src data:; "
            f"style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'"
        ),
        "style": style,
        "script": script,
        "page": script_json(page),
        "analysis": script_json(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("template.html"))


def _sizes(analysis: Analysis) -> Json:
    """Of each cell of a task with thresholds, by key: the first threshold with the ends of its
    interval, if it is inside the sizes of the task, and metrics that are beyond them, in words."""
    thresholds = {task.name: task.thresholds for task in analysis.tasks if task.thresholds}
    found: dict[str, Json] = {}
    for cell in analysis.cells:
        if own := thresholds.get(cell.task):
            smallest = smallest_read(cell.metrics, own[0])
            words = {name: beyond(cell.metrics, name, own) for name in cell.metrics}
            found[cell.key] = {
                "smallest": None if smallest is None else asdict(smallest),
                "beyond": {name: text for name, text in words.items() if text},
            }
    return found


def _findings(analysis: Analysis) -> list[PaperFinding]:
    """The paper's, which are over bpp; none of an analysis over another axis."""
    return paper_findings(analysis) if analysis.axis == BPP else []


def _unbroken(escaped: str) -> str:
    """Names like Qwen2.5-VL-3B and numbers with a percent sign stay on one line of the title."""
    escaped = re.sub(r"(?<=\d) (?=%)", "&nbsp;", escaped)
    return re.sub(r"[\w.]+(?:-[\w.]+)+", r'<span class="name">\g<0></span>', escaped)


def script_json(value: Json) -> str:
    """JSON that is inert inside a <script> element: ASCII, and no `<`, `>` or `&`.

    Numbers that are not finite become null, because JSON cannot represent them.
    """
    text = json.dumps(finite_json(value), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _pool_images(data: dict[str, Json]) -> tuple[Json, list[Json]]:
    """Replace every image by `@n` and list the different ones.

    A VLM gets the same image with and without an adapter; the page stores it once. The page inserts
    the images again when the analysis is downloaded.
    """
    pool: dict[str, int] = {}

    def walk(value: Json) -> Json:
        if isinstance(value, dict):
            return {
                key: f"@{pool.setdefault(item, len(pool))}"
                if key == "png_base64" and isinstance(item, str)
                else walk(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [walk(item) for item in value]
        return value

    pooled = walk(data)
    return pooled, list(pool)


def _asset(name: str) -> str:
    return resources.files("eyechart.report").joinpath("assets", name).read_text("utf-8")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
