"""Settings are compared over the same images: one that failed is a loss, and costs as much as the
image that is sent without a codec."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eyechart.analysis.deployment import Costs
from eyechart.analysis.measurements import Measurement
from eyechart.analysis.recommend import judged, recommend
from eyechart.analysis.recommend_view import recommendation_table, recommendation_text
from eyechart.core.records import Failure
from eyechart.store.own_files import OwnFiles, write_own_files
from tests.analysis import toy


def failing_run(root: Path, *, failed: int, asked: int = toy.IMAGES) -> None:
    """Every answer is right, but level 1 of the codec fails on the first images, and its level 2
    was asked about the first `asked` of them."""
    store = toy.a_run(root, {("source", 0, ""): 1.0})
    questions = toy.ToyTask().questions()
    lost = {f"p{place}" for place in range(failed)}
    for rank in (1, 2):
        stored = store.add(toy.cell("grey", rank))
        size = 10 * rank * 1000
        records = toy.records(1.0, size, count=asked * toy.PER_IMAGE if rank == 2 else 10**6)
        stored.append_records(one for one in records if rank == 2 or one.image not in lost)
        stored.append_failures(
            Failure(
                question_id=question.id,
                image=question.image,
                stage="encode",
                kind="CodecError",
                message="cannot be reached",
                retryable=False,
            )
            for question in questions
            if rank == 1 and question.image in lost
        )


@pytest.mark.parametrize("failed", [5, toy.IMAGES])
def test_a_setting_that_fails_where_it_would_lose_is_not_judged_by_the_rest(
    tmp_path: Path, failed: int
) -> None:
    failing_run(tmp_path, failed=failed)
    (found,) = recommend(tmp_path, tolerance=60)
    high, low = found.settings
    assert (high.level, low.level) == ("2", "1")
    assert low.images == high.images == toy.IMAGES
    assert low.loss == pytest.approx(100 * failed / toy.IMAGES)
    assert low.measured.score == pytest.approx(1 - failed / toy.IMAGES)
    assert low.measured.lost == pytest.approx(failed / toy.IMAGES)
    assert low.good == (failed == 5)
    # Images that failed are sent without the codec.
    plain = found.uncompressed.size_bytes
    parts = (toy.IMAGES - failed) * 10_000 + failed * plain
    assert low.bytes_per_image == pytest.approx(parts / toy.IMAGES, abs=20)
    (strict,) = recommend(tmp_path, tolerance=20)
    assert not any(one.good for one in strict.settings if one.level == "1")
    assert f"grey 1 failed on {failed} of 20 images" in recommendation_text(strict)
    table = recommendation_table(found)
    place = table.columns.index("failed")
    assert [row.entries[place].value for row in table.rows] == [None, 0, failed]
    assert "it counts as a loss of 100" in table.legend


def test_an_image_that_failed_costs_as_much_as_the_own_file(tmp_path: Path) -> None:
    failing_run(tmp_path, failed=5)
    sizes = {f"p{place}": 100_000 + place for place in range(toy.IMAGES)}
    own = OwnFiles(files=20, mean_bytes=sum(sizes.values()) / 20, sizes=sizes)
    write_own_files(tmp_path, own)
    (found,) = recommend(tmp_path, tolerance=60)
    low = found.settings[1]
    assert low.bytes_per_image == pytest.approx((15 * 10_000 + 5 * 100_002) / 20, abs=20)
    table = recommendation_table(found, own)
    place = table.columns.index("of own files, %")
    assert table.rows[2].entries[place].value == pytest.approx(32.5, abs=0.1)


def test_a_setting_of_fewer_images_is_compared_over_these(tmp_path: Path) -> None:
    failing_run(tmp_path, failed=0, asked=10)
    sizes = {f"p{place}": 40_000 if place < 10 else 9_000_000 for place in range(toy.IMAGES)}
    own = OwnFiles(files=20, mean_bytes=sum(sizes.values()) / 20, sizes=sizes)
    write_own_files(tmp_path, own)
    (found,) = recommend(tmp_path, tolerance=90)
    table = recommendation_table(found, own)
    place, images = (table.columns.index(name) for name in ("of own files, %", "images"))
    assert [row.entries[images].value for row in table.rows] == [None, 10, 20]
    assert table.rows[1].entries[place].value == pytest.approx(50, abs=0.1)


def test_the_smallest_setting_without_a_loss_is_named_while_nothing_is_shown(
    tmp_path: Path,
) -> None:
    failing_run(tmp_path, failed=0)
    (found,) = recommend(tmp_path, tolerance=1)
    assert found.best is None
    said = recommendation_text(found)
    assert "The smallest setting that lost nothing here: grey 1, 10.0 kB" in said
    assert "At least 5 images are needed" not in said
    costs = Costs(size_bytes=10)
    three = Measurement(codec="a", level="b", bpp=0.1, costs=costs, losses=np.zeros(3))
    few = replace(found, settings=judged([three], tolerance=1))
    assert "At least 5 images are needed." in recommendation_text(few)
