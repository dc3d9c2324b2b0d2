"""The family in docs/add-a-family.md works as written, from an installed distribution."""

from __future__ import annotations

import re
from pathlib import Path

from tests.installed import Distribution, eyechart_in, install

PAGE = Path(__file__).parents[2] / "docs" / "add-a-family.md"


def test_an_installed_family_is_listed_and_asked_with_its_own_prompts(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (file,) = re.findall(r"^# (\w+\.py)$", code, re.M)
    site = install(tmp_path, Distribution(name="parrot", files={file: code}, pyproject=project))
    listed = eyechart_in(site, "vlm", "list")
    assert re.search(r"parrot-small +parrot +ready", listed.stdout)
    out = tmp_path / "out"
    plan = ["--vlm", "parrot-small", "--codecs", "source", "--tasks", "POPE"]
    limits = ["--data", "eyechart-mini", "--max-images", "2", "--no-report", "--workers", "1"]
    done = eyechart_in(site, "run", *plan, *limits, "--out", str(out))
    assert done.returncode == 0, done.stderr
    records = "".join(path.read_text("utf-8") for path in out.rglob("*.jsonl"))
    assert '"yes."' in records
