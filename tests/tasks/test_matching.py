"""How far an answer says the same as a reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyechart.tasks import matching
from eyechart.tasks.matching import agreement, rule_of

IS_IT = "Is there a dog in the image? Please answer yes or no."
READ = "What text is in the image?"
COLOUR = "What colour is the car?"


@pytest.mark.parametrize(
    ("asked", "reference", "answer", "expected"),
    [
        (IS_IT, "Yes", "Yes, there is a dog.", 1.0),
        (IS_IT, "Yes, there is a dog.", "No, there is no dog.", 0.0),
        (IS_IT, "Yes, there is a dog.", "yes", 1.0),
        (IS_IT, "Yes, there is a dog.", "Yes, there is no doubt.", 1.0),
        (IS_IT, "No there is none", "Yes", 0.0),
        (IS_IT, "dog. Yes", "cat. Yes", 1.0),
        (IS_IT, "dog. Yes", "No", 0.0),
        ("", "no", "yes", 0.0),
        ("", "yes", "\ud800", 0.0),
        ("", "3", "There are 3 cats", 1.0),
        ("", "3", "4", 0.0),
        ("", "3", "-3", 0.0),
        ("", "three", "3", 1.0),
        ("", "1,000", "1000", 1.0),
        ("", "3.0", "3", 1.0),
        ("", "$12", "$12.00", 1.0),
        ("", "2,5", "2.5", 1.0),
        ("", "50 %", "50", 1.0),
        ("", "3 dogs", "4 dogs", 0.0),
        ("", "12:30", "12:80", 0.0),
        (COLOUR, "Red car.", "the red car", 1.0),
        (COLOUR, "red", "The car is red.", 1.0),
        (COLOUR, "cat", "car", 0.0),
        (COLOUR, "man", "woman", 0.0),
        (COLOUR, "*", "!", 0.0),
        ("Which one, A or B?", "A", "A.", 1.0),
        ("Which one, A or B?", "A", "B", 0.0),
        (READ, "ODEON", "ODEOM", 0.8),
        (READ, "stop", "go home now", 0.0),
        (READ, "No parking", "No parking", 1.0),
        (READ, "No parking", "no parkin", 0.9),
        (READ, "A4 73 KX", "A4 78 KX", 0.0),
        ("", "a dog runs over the green field", "over the green field runs a dog", 1.0),
        ("", "a dog runs over the green field", "two people sit at a table", 0.0),
        ("", "a dog runs over the green field", "a cat runs over the red field", 0.6),
        ("", "", "", 1.0),
    ],
)
def test_agreement_is_by_the_kind_of_answer(
    asked: str, reference: str, answer: str, expected: float
) -> None:
    assert agreement(reference, answer, asked) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("asked", "reference", "rule"),
    [
        (IS_IT, "Yes, it is.", matching.SAME_WORD),
        (READ, "NO PARKING", matching.LETTERS),
        (READ, "No-smoking area", matching.LETTERS),
        (READ, "No. 5", matching.LETTERS),
        ("", "No. There is none.", matching.SAME_WORD),
        (COLOUR, "twelve", matching.SAME_NUMBER),
        (COLOUR, "dark red", matching.SAME_WORDS),
        (READ, "one two three four five", matching.CONTENT_WORDS),
    ],
)
def test_the_rule_follows_from_question_and_reference(
    asked: str, reference: str, rule: str
) -> None:
    assert rule_of(reference, asked) == rule


@given(st.text(), st.text(), st.text())
def test_any_texts_have_an_agreement_and_a_text_agrees_with_itself(
    reference: str, answer: str, asked: str
) -> None:
    assert 0 <= agreement(reference, answer, asked) <= 1
    assert agreement(reference, reference, asked) == 1


@given(st.decimals(-10_000_000, 10_000_000, places=2))
def test_a_number_agrees_with_its_other_spellings(value: object) -> None:
    assert agreement(f"{value:,}", f"{value}") == 1
    assert agreement(f"{value}", f"It is {value:,}.") == 1
