"""The condition of an image: the codec and level that compressed it (paper eq. 2).

m codecs x n levels are m * n entries, each a row of an embedding table. The last row of the table
is `unknown`. It is trained by dropping the condition at random, and is used for codecs outside the
vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from eyechart.codecs import open_codec
from eyechart.core.errors import InputError
from eyechart.core.types import LOSSLESS, UNCOMPRESSED, Codec

Condition: TypeAlias = tuple[str, str]  # (codec, level), by name
SOURCE: Condition = (UNCOMPRESSED, LOSSLESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The conditions of an adapter, in the order of its embedding rows.

    aliases: unseen condition -> entry that is used for it (paper Section 4.3: HM as JPEG, MLICpp as
    ELIC, DiffEIC as MS-ILLM). All other conditions are `unknown`.
    """

    entries: tuple[Condition, ...]
    aliases: Mapping[Condition, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.entries or len(set(self.entries)) < len(self.entries):
            raise InputError(f"vocabulary {list(self.entries)}: needs entries, each of them once")
        for unseen, known in self.aliases.items():
            if known not in self.entries:
                raise InputError(
                    f"condition alias {_words(unseen)}={_words(known)}: "
                    f"{_words(known)} is not in the vocabulary "
                    f"({', '.join(map(_words, self.entries))})"
                )

    @property
    def unknown(self) -> int:
        """Row of the `unknown` entry."""
        return len(self.entries)

    @property
    def rows(self) -> int:
        """Rows of the embedding table."""
        return len(self.entries) + 1

    @property
    def codecs(self) -> tuple[str, ...]:
        """Names of the codecs, in order, including `source` if it is an entry."""
        return tuple(dict.fromkeys(codec for codec, _ in self.entries))

    def row(self, codec: str, level: str) -> int:
        """The embedding row of an image's condition; never fails.

        For a codec with one entry (`source`) the level may be "".
        """
        asked = self.aliases.get((codec, level), (codec, level))
        if asked in self.entries:
            return self.entries.index(asked)
        of_codec = [row for row, entry in enumerate(self.entries) if entry[0] == asked[0]]
        return of_codec[0] if len(of_codec) == 1 and not asked[1] else self.unknown

    def require(self, codec: str, level: str) -> int:
        """Like `row`, for a condition that a user typed. Raises InputError if it is unknown."""
        row = self.row(codec, level)
        if row == self.unknown and codec != "unknown":
            raise InputError(
                f"condition {_words((codec, level))} is not in the adapter's vocabulary; "
                f"allowed: {', '.join(map(_words, self.entries))}, unknown"
            )
        return row


def entries_of(codecs: Sequence[Codec]) -> tuple[Condition, ...]:
    """`source`, because training includes uncompressed images, then all levels of all codecs."""
    entries = [(codec.name, level.name) for codec in codecs for level in codec.levels]
    return (SOURCE, *(entry for entry in entries if entry != SOURCE))


def aliases_by_rank(pairs: Mapping[str, str], vocabulary: Vocabulary) -> dict[Condition, Condition]:
    """Aliases of all levels, matched in order of rate. pairs: unseen codec -> known codec.

    Raises:
        InputError: the known codec is not in the vocabulary, or the unseen one is not a codec.
    """
    found: dict[Condition, Condition] = {}
    for unseen, known in pairs.items():
        targets = [entry for entry in vocabulary.entries if entry[0] == known]
        if not targets:
            raise InputError(
                f"condition alias {unseen}={known}: {known} is not in the vocabulary; "
                f"allowed: {', '.join(vocabulary.codecs)}"
            )
        codec = open_codec(unseen)
        last = max(1, len(codec.levels) - 1)
        for level in codec.levels:
            place = round(level.rank * (len(targets) - 1) / last)
            found[unseen, level.name] = targets[place]
    return found


def _words(condition: Condition) -> str:
    codec, level = condition
    return f"{codec}/{level}" if level else codec
