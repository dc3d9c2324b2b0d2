"""Yes/no and option letters in answer texts; expected values are VLMEvalKit's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.tasks.extraction import read_option, read_yes_no, strip_punctuation

OPTIONS = (("A", "a cat"), ("B", "None"), ("C", "a red car"), ("D", "NA"))


@pytest.mark.parametrize(
    ("answer", "parsed_answer"),
    [
        ("Yes", "Yes"),
        ("no.", "No"),
        ("Yes, there is a dog in the image.", "Yes"),
        ("NO!", "No"),
        ("(yes)", "Yes"),
        ("yes-it-is", "Yes"),
        ("yes/no", ""),
        ("Yes and no", ""),
        ("there is not", ""),
        ("none", ""),
        ("nope", ""),
        ("**Yes**", ""),  # an asterisk is no punctuation here
        ("'yes'", ""),
        ("", ""),
        ("1,000 people, yes", "Yes"),
        ("1,000/no", ""),  # a comma inside a number: the slash vanishes and joins the words
        ("." * 33 + "yes", ""),  # periods after the 32nd stay
        ("." * 32 + "yes", "Yes"),
    ],
)
def test_yes_no(answer: str, parsed_answer: str) -> None:
    assert read_yes_no(answer) == parsed_answer


@pytest.mark.parametrize(
    ("answer", "parsed_answer"),
    [
        ("A", "A"),
        ("B.", "B"),
        ("(C)", "C"),
        ("D: NA", "D"),
        ("The answer is **C**.", "C"),
        ("The correct answer is D, I think, as one can see well", "D"),
        ("the answer is black", "B"),  # no word border after the letter
        ("A or B", ""),
        ("A B C, so the answer is C", "C"),
        ("E", ""),
        ("a", ""),  # letters are upper case
        ("A cat sits here", "A"),  # within the last four words
        ("A cat sits here on top", "A"),  # too early for a letter, but the text of A
        ("A dog sits here on top", ""),
        ("it is a red car", "C"),
        ("A RED CAR", "A"),  # a lone A among the last four words comes first
        ("none", "B"),
        ("there is none and na", ""),  # the texts of B and of D
        ("I see a cat " * 9, ""),  # longer than twice all options
        ("Z", ""),
        ("Cannot determine the answer, maybe A", ""),
        ("I'm sorry, but without the image provided I say B", ""),
        ("", ""),
    ],
)
def test_option(answer: str, parsed_answer: str) -> None:
    assert read_option(answer, OPTIONS) == parsed_answer


def test_failed_requests_of_other_tools_are_not_answers() -> None:
    assert read_option("Failed to obtain answer via API. A", OPTIONS) == ""


@given(st.text())
def test_any_text_reads_as_an_option_or_nothing(answer: str) -> None:
    assert read_option(answer, OPTIONS) in ("", "A", "B", "C", "D")
    assert read_option(answer, ()) == ""
    assert read_yes_no(answer) in ("", "Yes", "No")


@given(st.lists(st.sampled_from(["yes", "no", "dog", "red"]), max_size=6))
def test_yes_no_needs_exactly_one_of_both(words: list[str]) -> None:
    parsed_answer = read_yes_no(" ".join(words))
    assert bool(parsed_answer) == (("yes" in words) != ("no" in words))


@given(st.sampled_from("ABCD"), st.lists(st.sampled_from(["the", "is", "so"]), max_size=3))
def test_a_lone_letter_near_the_end_is_read(letter: str, after: list[str]) -> None:
    assert read_option(" ".join(["well", "well", letter, *after]), OPTIONS) == letter


@given(st.text(st.characters(categories=["Ll", "Nd", "Zs"])))
def test_punctuation_is_all_that_is_stripped(text: str) -> None:
    assert strip_punctuation(text) == text
