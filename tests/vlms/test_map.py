"""A VLM spread by accelerate: hooks move each layer's weights and inputs to one device.

The engine calls the layers itself, and the hooks must still run. No second device is needed to test
that: weights on the disk are not tensors until a hook loads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import accelerate
import pytest
from transformers import PreTrainedModel

from eyechart.core.types import Decoding
from eyechart.vlms import checkpoint, open_vlm
from tests.vlms.asking import request

DECODING = Decoding(max_new_tokens=6)
REQUESTS = [request(100, 180, 5, seed=1), request(56, 56, 3, seed=2)]


def put_half_on_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """`device_map="auto"` becomes CPU and disk, as it becomes two GPUs where there are two."""
    load: Any = PreTrainedModel.from_pretrained.__func__  # type: ignore[attr-defined]

    def from_pretrained(cls: Any, source: str, *, device_map: str, **options: Any) -> Any:
        assert device_map == "auto"
        model, found = load(cls, source, **options)
        limit_bytes = sum(parameter.nbytes for parameter in model.parameters()) // 2
        places = accelerate.infer_auto_device_map(model, max_memory={"cpu": limit_bytes})
        assert "disk" in places.values()
        spread = accelerate.dispatch_model(
            model, places, main_device="cpu", offload_dir=folder, force_hooks=True
        )
        return spread, found

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(from_pretrained))
    monkeypatch.setattr(checkpoint, "check_present", lambda device: None)


@pytest.mark.parametrize("family", ["qwen", "internvl", "janus"])
def test_a_spread_vlm_answers_as_a_whole_one(
    family: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(request.getfixturevalue(f"{family}_dir"))
    whole = open_vlm(folder, device="cpu").answer(REQUESTS, DECODING)
    put_half_on_disk(monkeypatch, tmp_path)
    spread: Any = open_vlm(folder, device="map", dtype="float32")
    assert spread.answer(REQUESTS, DECODING) == whole
    assert any(parameter.is_meta for parameter in spread.model.parameters())
