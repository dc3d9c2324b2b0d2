"""A recommendation holds: planted losses, paired by image, are not recommended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from eyechart.analysis.deployment import (
    Costs,
    Saving,
    TokenPrices,
    UsdPrices,
    answers_of,
    costs_of,
    crossovers,
    fastest,
    parse_bandwidths,
)
from eyechart.analysis.loss_bounds import images_needed, upper_bound
from eyechart.analysis.measurements import Measurement
from eyechart.analysis.recommend import Recommendation, cheapest, judged, recommend
from eyechart.analysis.recommend_view import (
    recommendation_table,
    recommendation_text,
)
from eyechart.analysis.times_view import times_table, times_text
from eyechart.core.errors import InputError
from eyechart.core.records import Record
from eyechart.core.types import Floats
from eyechart.store import Store
from eyechart.store.own_files import OwnFiles
from eyechart.store.timings import Timing, append_timings, read_timings
from tests.analysis import toy


@pytest.mark.parametrize("images", [5, 10, 40, 100, 200, 1000])
@pytest.mark.parametrize("error_rate", [0.05, 0.05 / 3])
def test_the_bound_covers_the_true_loss(images: int, error_rate: float) -> None:
    """Images whose answers all become wrong with a probability; the coverage is exact."""
    counts = np.arange(images + 1)
    bounds = np.array(
        [upper_bound(np.repeat([1.0, 0.0], [k, images - k]), error_rate) for k in counts]
    )
    for share in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        covered = stats.binom.pmf(counts, images, share)[bounds >= share].sum()
        assert covered >= 1 - error_rate


def test_the_bound_covers_losses_in_both_directions() -> None:
    rng = np.random.default_rng(1)
    losses = rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.85, 0.1], size=(2000, 60))
    covered = np.mean([upper_bound(draw, 0.05) >= 0.05 for draw in losses])
    assert covered >= 0.95


def measurement(codec: str, level: str, size_bytes: float, losses: Floats) -> Measurement:
    costs = Costs(size_bytes=size_bytes, tokens=size_bytes / 10)
    return Measurement(codec=codec, level=level, bpp=0.1, costs=costs, losses=losses)


def test_a_planted_failure_is_never_recommended_in_1000_draws() -> None:
    """Three codecs of three levels. The cheap ones lose 10 points, 3 are tolerated; the dear ones
    lose nothing, and are found."""
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(1000):
        measured = [
            measurement(f"codec {n}", level, size, (rng.random(300) < loss).astype(float))
            for n in range(3)
            for level, size, loss in (("low", 100, 0.1), ("mid", 200, 0.1), ("high", 300, 0.0))
        ]
        best = cheapest(judged(measured, tolerance=3), Saving())
        assert best is None or best.level == "high"
        found += best is not None
    assert found == 1000


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.15])
def test_what_is_recommended_loses_less_than_the_tolerance_in_95_percent(loss: float) -> None:
    """Six settings of three codecs lose exactly the tolerance: the worst case for the correction.
    Losses are of both signs, as answers flip in both directions."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(400):
        measured = [
            measurement(f"codec {n % 3}", str(n), 100 + n, draw)
            for n in range(6)
            for draw in [rng.choice([-1.0, 0.0, 1.0], p=[0.03, 0.94 - loss, 0.03 + loss], size=80)]
        ]
        wrong += cheapest(judged(measured, tolerance=100 * loss), Saving()) is not None
    assert wrong <= 0.05 * 400


@pytest.mark.parametrize("freedom", [4, 10, 50])
def test_the_bound_is_that_of_students_t(freedom: int) -> None:
    losses = np.linspace(-0.2, 0.3, freedom)
    values = np.append(losses, [1.0, 1.0])
    quantile = stats.t.ppf(1 - 0.05 / 3, freedom + 1)
    expected = values.mean() + quantile * values.std(ddof=1) / np.sqrt(len(values))
    assert upper_bound(losses, 0.05 / 3) == pytest.approx(expected, rel=0.005)


def test_so_many_more_images_decide() -> None:
    losses = np.zeros(20)
    more = images_needed(losses, 0.02, 0.05)
    assert more is not None
    assert upper_bound(np.zeros(20 + more), 0.05) <= 0.02
    assert upper_bound(np.zeros(20 + more // 2), 0.05) > 0.02
    assert images_needed(np.full(20, 0.1), 0.02, 0.05) is None


def test_the_cheapest_setting_that_is_good_is_named(tmp_path: Path) -> None:
    plain = {("source", 0, ""): 0.9, **{("grey", rank, ""): 0.9 for rank in (1, 2)}}
    plain["grey", 0, ""] = 0.3
    toy.a_run(tmp_path, plain)
    (found,) = recommend(tmp_path, tolerance=30)
    assert [setting.level for setting in found.settings] == ["2", "1", "0"]
    assert [setting.good for setting in found.settings] == [True, True, False]
    assert found.best is not None
    assert found.best.level == "1"
    assert "Recommended for reader: grey 1, which loses at most" in recommendation_text(found)
    own = OwnFiles(files=40, mean_bytes=1e6)
    assert "% fewer bytes than the files" in recommendation_text(found, own)
    table = recommendation_table(found, own)
    bound = table.columns.index("at most")
    assert [row.entries[bound].mark for row in table.rows] == ["", "", "best", ""]
    assert table.rows[0].keys == ("own files", "")
    scores = [row.entries[table.columns.index("agreement, %")].value for row in table.rows]
    assert scores[0] == pytest.approx(found.agreement)
    for score, setting in zip(scores[1:], found.settings, strict=True):
        assert score == pytest.approx(found.agreement - setting.loss)
    (strict,) = recommend(tmp_path, tolerance=0.5)
    assert strict.best is None
    assert "more images would decide" in recommendation_text(strict)


def test_a_bound_is_at_most_the_whole_score() -> None:
    assert upper_bound(np.ones(3), 0.01) == 1
    assert upper_bound(np.repeat([1.0, 0.0], [4, 2]), 0.01) == 1


def test_codecs_are_in_the_order_of_the_plan(tmp_path: Path) -> None:
    names = [("source", 0, ""), *((name, 0, "") for name in ("blue", "grey", "amber"))]
    store = toy.a_run(tmp_path, dict.fromkeys(names, 1.0))
    stored = {one.cell.codec.name: one for one in store.cells()}
    for wanted in (["grey", "amber", "blue"], ["amber", "blue", "grey"]):
        store.make_current(stored[name] for name in ["source", *wanted])
        (found,) = recommend(tmp_path, tolerance=50)
        assert [setting.codec for setting in found.settings] == wanted


def test_a_level_below_a_bad_one_is_not_recommended(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9, ("grey", 2, ""): 0.2, ("grey", 0, ""): 0.9})
    (found,) = recommend(tmp_path, tolerance=30)
    assert [setting.good for setting in found.settings] == [False, False]
    assert [setting.images_needed for setting in found.settings] == [None, None]


def test_a_level_waits_for_the_images_of_higher_levels() -> None:
    undecided = np.repeat([1.0, 0.0, -1.0], [2, 16, 2])
    high, low = judged(
        [measurement("a", "high", 300, undecided), measurement("a", "low", 100, np.zeros(200))],
        tolerance=5,
    )
    assert not low.good
    assert low.upper < 5
    assert high.images_needed
    assert low.images_needed == high.images_needed


def test_a_run_of_thousands_of_levels_says_how_many_images_would_decide() -> None:
    levels = [measurement("a", str(rank), 100 + rank, np.zeros(40)) for rank in range(3000)]
    settings = judged(levels, tolerance=2)
    found = Recommendation(
        vlm="v",
        adapter="",
        tolerance=2,
        settings=settings,
        best=None,
        saving=Saving(),
        uncompressed=Costs(size_bytes=1e6),
        agreement=100.0,
    )
    assert settings[-1].images_needed == settings[0].images_needed
    said = f"About {settings[0].images_needed} more images would decide a 2999"
    assert said in recommendation_text(found)


def test_images_of_two_tasks_with_the_same_key_are_different_images() -> None:
    first, second = (toy.data_of(toy.cell(), toy.records(0.5, size)) for size in (100, 300))
    one_task = costs_of([first], answers_of([first]), {}, UsdPrices()).size_bytes
    both = [first, replace(second, task="another")]
    costs = costs_of(both, answers_of(both), {}, UsdPrices())
    assert costs.size_bytes == pytest.approx(one_task + 100)


def test_what_cannot_be_recommended_is_one_line(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9})
    with pytest.raises(InputError, match="tolerance 0; allowed: more than 0, up to 100 points"):
        recommend(tmp_path, tolerance=0)
    with pytest.raises(InputError, match="no task 'POPE' in this run; there: toy"):
        recommend(tmp_path, tolerance=1, tasks=("POPE",))
    with pytest.raises(InputError, match="needs answers about uncompressed images and"):
        recommend(tmp_path, tolerance=1)


def test_dollars_are_those_of_the_tokens_that_a_server_counted() -> None:
    counted = [
        replace(record, input_tokens=n, visual_tokens=1000, answer_tokens=50)
        for n, record in enumerate(toy.records(0.5, 100), start=300)
    ]
    mean = 300 + (len(counted) - 1) / 2
    prices = UsdPrices(tokens=TokenPrices(usd_input=2.0, usd_output=10.0))

    def usd(records: list[Record]) -> float | None:
        cell = toy.data_of(toy.cell(), records)
        return costs_of([cell], answers_of([cell]), {}, prices).usd

    assert usd(counted) == pytest.approx((2 * mean + 500) / 1e6)
    unseen = [replace(record, visual_tokens=0) for record in counted]
    assert usd(unseen) == pytest.approx((2 * mean + 500) / 1e6)
    partly = [replace(counted[0], input_tokens=0), *counted[1:]]
    assert usd(partly) == pytest.approx((2 * 1000 + 500) / 1e6)
    assert usd([replace(unseen[0], input_tokens=0), *unseen[1:]]) is None


def test_what_is_saved_can_be_chosen(tmp_path: Path) -> None:
    plain = {("source", 0, ""): 0.9, ("grey", 1, ""): 0.9, ("grey", 2, ""): 0.9}
    toy.a_run(tmp_path, plain)
    with pytest.raises(InputError, match="cannot save tokens: the visual tokens of its VLM"):
        recommend(tmp_path, tolerance=30, saving=Saving(unit="tokens"))
    with pytest.raises(InputError, match="cannot save seconds: no times were measured"):
        recommend(tmp_path, tolerance=30, saving=Saving(unit="seconds"))
    with pytest.raises(InputError, match="cannot save usd: the price of its VLM is unknown"):
        recommend(tmp_path, tolerance=30, saving=Saving(unit="usd"))
    with pytest.raises(InputError, match="save 'money'; allowed: bytes, tokens, usd, seconds"):
        Saving(unit="money")
    with pytest.raises(InputError, match="jpeg:quality=85 is not in this run; levels of jpeg"):
        recommend(tmp_path, tolerance=30, today="jpeg:quality=85")
    with pytest.raises(InputError, match="has 4 levels; allowed is one"):
        recommend(tmp_path, tolerance=30, today="jpeg")
    with pytest.raises(InputError, match="price -1"):
        TokenPrices(usd_input=-1)


def test_the_cheapest_depends_on_what_is_saved() -> None:
    losses = np.zeros(500)
    small = Measurement(
        codec="a", level="s", bpp=0.1, costs=Costs(size_bytes=100, tokens=90), losses=losses
    )
    few = Measurement(
        codec="b", level="t", bpp=0.1, costs=Costs(size_bytes=200, tokens=30), losses=losses
    )
    settings = judged([small, few], tolerance=5)
    for unit, level in (("bytes", "s"), ("tokens", "t")):
        best = cheapest(settings, Saving(unit=unit))
        assert best is not None
        assert best.level == level


def timed(size_bytes: float, seconds: float) -> Costs:
    return Costs(size_bytes=size_bytes, encode_s=seconds / 2, decode_s=0.0, answer_s=seconds / 2)


def test_crossovers_are_where_another_setting_becomes_the_fastest() -> None:
    costs = {
        "small, slow": timed(1e4, 1.0),
        "middle": timed(1e5, 0.5),
        "large, fast": timed(1e6, 0.1),
        "never": timed(2e6, 2.0),
        "unknown": Costs(size_bytes=1.0),
    }
    points = crossovers(costs)
    assert [(below, above) for _, below, above in points] == [
        ("small, slow", "middle"),
        ("middle", "large, fast"),
    ]
    for at, below, above in points:
        assert costs[below].seconds(at) == pytest.approx(costs[above].seconds(at))
        assert fastest(costs, 0.99 * at) == below
        assert fastest(costs, 1.01 * at) == above
    assert crossovers({"unknown": Costs(size_bytes=1.0)}) == []


def test_times_of_a_run_give_seconds_to_an_answer(tmp_path: Path) -> None:
    toy.a_run(tmp_path, {("source", 0, ""): 0.9, ("grey", 1, ""): 0.9, ("grey", 2, ""): 0.9})
    keys = [cell.key for cell in Store(tmp_path).cells()]
    once = Timing(encode_s=1.0, encoded=2, decode_s=0.4, decoded=2, answer_s=3.0, answered=10)
    for _ in range(2):
        append_timings(tmp_path, dict.fromkeys(keys, once))
    (tmp_path / "timings.jsonl").open("a").write("{torn")
    assert read_timings(tmp_path)[keys[0]].encoded == 4
    (found,) = recommend(tmp_path, tolerance=30, saving=Saving(unit="seconds"))
    assert found.best is not None
    sent_s = 8 * found.best.bytes_per_image / 10e6
    assert found.best.costs.seconds(10) == pytest.approx(0.5 + 0.2 + 0.3 + sent_s)
    table = times_table(found, [0.5, 10])
    assert table.columns == ("0.5 Mbit/s", "10 Mbit/s")
    assert len(table.rows) == 3
    assert "fastest at every bandwidth" in times_text(found)
    assert "Without a time" not in times_text(found)
    own = OwnFiles(files=20, mean_bytes=1000, read_s=0.05)
    table = times_table(found, [0.5, 10], own)
    assert [row.keys[0] for row in table.rows[:2]] == ["own files", "uncompressed"]
    assert table.rows[0].entries[1].value == pytest.approx(0.05 + 0.3 + 8e3 / 10e6)
    assert times_text(found, own).endswith("Mbit/s, and own files above.")
    said = recommendation_text(found, own)
    assert "more seconds than the files" in said
    unread = replace(own, read_s=None)
    assert "Without a time: own files (" in times_text(found, unread)
    untimed = replace(found, uncompressed=replace(found.uncompressed, answer_s=None))
    assert "Without a time: uncompressed (no answer was timed; the" in times_text(untimed)
    assert parse_bandwidths("0.5,2,10 Mbit/s") == [0.5, 2, 10]
    with pytest.raises(InputError, match="bandwidth 'fast'"):
        parse_bandwidths("fast")
    with pytest.raises(InputError, match="bandwidth 0"):
        parse_bandwidths("0")


def test_dollars_are_those_of_tokens_and_of_the_transfer() -> None:
    tokens = TokenPrices(usd_input=2.0, usd_output=10.0)
    records = [
        replace(record, visual_tokens=1000, answer_tokens=50, payload_bytes=100_000)
        for record in toy.records(0.5, 100_000)
    ]
    counted = toy.data_of(toy.cell(), records)
    answers = answers_of([counted])

    def usd(prices: UsdPrices) -> float | None:
        return costs_of([counted], answers, {}, prices).usd

    assert usd(UsdPrices()) is None
    assert usd(UsdPrices(tokens=tokens)) == pytest.approx(0.002 + 0.0005)
    assert usd(UsdPrices(per_gb=0.1)) == pytest.approx(1e-5)
    assert usd(UsdPrices(tokens=tokens, per_gb=0.1)) == pytest.approx(0.00251)
    with pytest.raises(InputError, match="price -1; allowed: US dollars per GB, from 0"):
        UsdPrices(per_gb=-1)
    uncounted = toy.data_of(toy.cell(), toy.records(0.5, 100))
    both = UsdPrices(tokens=tokens, per_gb=0.1)
    assert costs_of([uncounted], answers_of([uncounted]), {}, both).usd is None


def test_money_is_compared_with_the_own_files() -> None:
    """A tenth of the bytes and half of the tokens of the files."""
    paid = Costs(size_bytes=2e4, tokens=500, token_usd=0.001, usd_per_gb=0.1)
    plain = Costs(size_bytes=9e6, tokens=1000, token_usd=0.002, usd_per_gb=0.1)
    measured = Measurement(codec="a", level="s", bpp=0.1, costs=paid, losses=np.zeros(500))
    settings = judged([measured], tolerance=5)
    found = Recommendation(
        vlm="v",
        adapter="",
        tolerance=5,
        settings=settings,
        best=settings[0],
        saving=Saving(unit="usd"),
        uncompressed=plain,
        agreement=100.0,
    )
    own = OwnFiles(files=500, mean_bytes=2e5, jpeg_qualities=[])
    table = recommendation_table(found, own)
    place = table.columns.index("$ per 1,000 images")
    files, setting = (row.entries[place].value for row in table.rows)
    assert files == pytest.approx(2.02)  # with the bytes of the files, not of the decoded images
    assert setting == pytest.approx(1.002)
    assert "$: every image sent with one question; input tokens" in table.legend
    assert table.legend.endswith("those of the answer, and the transfer")
    said = recommendation_text(found, own)
    assert "90 % fewer bytes than the files" in said
    assert "$1.02 less per 1,000 images (50 % fewer US dollars than the files)" in said
    assert said.count("US dollars") == 1
