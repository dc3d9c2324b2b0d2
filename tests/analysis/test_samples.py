"""The picture of the acuity chart in an analysis: as each level of a codec leaves the letters."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from eyechart.analysis.analyse import analyse
from eyechart.analysis.files import read_analysis, write_analysis
from eyechart.codecs.opening import open_named
from eyechart.core.identity import image_digest
from eyechart.core.records import Cell, Record
from eyechart.core.types import Codec, Component, Decoding, Level, component_of
from eyechart.report.html import render_report
from eyechart.store import RunInfo, Store, TaskSize
from eyechart.tasks.acuity import Acuity


def stored(root: Path, task: Acuity, codec: Codec, level: Level) -> None:
    store = Store(root)
    store.create()
    store.write_info(RunInfo(title="letters"))
    questions = task.questions()
    for component, at in (
        (Component(name="source", version="1"), Level(name="lossless", rank=0, knobs={})),
        (component_of(codec), level),
    ):
        cell = store.add(
            Cell(
                task=component_of(task),
                codec=component,
                level=at,
                vlm=Component(name="reader", version="1"),
                adapter=None,
                decoding=Decoding(max_new_tokens=24),
            )
        )
        cell.ask(TaskSize(questions=len(questions), images=len(questions)))
        cell.append_records(
            [
                Record(
                    question_id=question.id,
                    image=question.image,
                    answer=question.answer,
                    value=1.0,
                    parsed_answer=question.answer,
                    parsed=True,
                    payload_bytes=900,
                    height_px=224,
                    width_px=224,
                )
                for question in questions
            ]
        )
    blobs = store.images.bitstreams
    for key in task.sample_images:
        image = task.image(key)
        place = blobs.path(component_of(codec), level, image_digest(image))
        blobs.put(place, codec.encode(image, level).payload)


def test_every_level_has_a_picture_of_its_letters(tmp_path: Path) -> None:
    task, codec = Acuity(rows=1), open_named("jpeg", {"levels": [5]})
    (level,) = codec.levels
    stored(tmp_path / "run", task, codec, level)
    found = analyse(tmp_path / "run", samples=10, examples=1, created="")
    originals = [task.image(key) for key in task.sample_images]
    decoded = [codec.decode(codec.encode(image, level)) for image in originals]
    shown = {
        view.codec: np.asarray(Image.open(io.BytesIO(base64.b64decode(view.png_base64))))
        for view in found.samples
    }
    np.testing.assert_array_equal(shown["source"], task.draw_sample(originals))
    np.testing.assert_array_equal(shown["jpeg"], task.draw_sample(decoded))
    (about,) = found.tasks
    assert about.sample_text == "Rows of three letters, 42 to 6 pixels high"
    assert about.thresholds == task.thresholds
    assert about.sample_text in render_report(found)
    write_analysis(found, tmp_path / "analysis.json")
    assert read_analysis(tmp_path / "analysis.json") == found
