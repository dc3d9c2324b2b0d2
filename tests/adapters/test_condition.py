"""The vocabulary of conditions: rows, unseen codecs, bad entries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyechart.adapters.condition import (
    SOURCE,
    Vocabulary,
    aliases_by_rank,
    entries_of,
)
from eyechart.codecs.jpeg import JpegCodec
from eyechart.core.errors import InputError

NAMES = st.text("abcdefghij-0123456789", min_size=1, max_size=6)
ENTRIES = st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=16, unique=True)


@settings(deadline=None)
@given(ENTRIES, st.tuples(NAMES, NAMES))
def test_every_condition_has_a_row_and_known_ones_their_own(
    entries: list[tuple[str, str]], asked: tuple[str, str]
) -> None:
    vocabulary = Vocabulary(entries=tuple(entries))
    assert [vocabulary.row(*entry) for entry in entries] == list(range(len(entries)))
    row = vocabulary.row(*asked)
    assert row == (entries.index(asked) if asked in entries else vocabulary.unknown)
    assert vocabulary.rows == len(entries) + 1


def test_the_papers_vocabulary_has_twelve_entries() -> None:
    codecs = ("jpeg", "elic", "ms-illm")
    vocabulary = Vocabulary(entries=tuple((c, str(n)) for c in codecs for n in range(4)))
    assert (vocabulary.unknown, vocabulary.rows) == (12, 13)


def test_source_is_first_and_found_without_its_level() -> None:
    entries = entries_of([JpegCodec()])
    assert entries == (SOURCE, *(("jpeg", level) for level in "1356"))
    vocabulary = Vocabulary(entries=entries)
    assert vocabulary.row("source", "") == 0
    assert vocabulary.row("jpeg", "") == vocabulary.unknown


def test_aliases_match_levels_rank_by_rank() -> None:
    known = Vocabulary(entries=entries_of([JpegCodec()]))
    aliases = aliases_by_rank({"hevc": "jpeg"}, known)
    # QP 51 is hevc's smallest rate, quality 1 jpeg's.
    assert aliases["hevc", "51"] == ("jpeg", "1")
    assert aliases["hevc", "42"] == ("jpeg", "6")
    vocabulary = Vocabulary(entries=known.entries, aliases=aliases)
    assert vocabulary.row("hevc", "51") == vocabulary.row("jpeg", "1")
    assert vocabulary.row("hevc", "7") == vocabulary.unknown


def test_bad_vocabularies_are_one_line() -> None:
    with pytest.raises(InputError, match="needs entries"):
        Vocabulary(entries=())
    with pytest.raises(InputError, match="each of them once"):
        Vocabulary(entries=(SOURCE, SOURCE))
    with pytest.raises(
        InputError, match="condition alias hm/51=jpeg/1: jpeg/1 is not in the vocabulary"
    ):
        Vocabulary(entries=(SOURCE,), aliases={("hm", "51"): ("jpeg", "1")})
    with pytest.raises(
        InputError, match="condition alias hevc=elic: elic is not in the vocabulary"
    ):
        aliases_by_rank({"hevc": "elic"}, Vocabulary(entries=(SOURCE,)))
    with pytest.raises(InputError, match="allowed: source/lossless, unknown"):
        Vocabulary(entries=(SOURCE,)).require("jpeg", "1")
