"""Names of properties: any text, of which identifiers are written after a dot."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.property import identifier_pattern, is_identifier, is_property, step

IDENTIFIERS = ["a", "_", "a$", "aB_9", "価格", "größe", "हिन्दी", "Цена", "é"]
OTHERS = [
    *("user-agent", "id.orig_h", "@type", "$browser", "+1", "US Gross", "1st", "a b", "a\n"),
    *('a"b', "a\\b", "\0", "e\u0301", "m²", "€", "a\u00a0b", "a\u200db", " ", "["),
]


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_a_word_of_any_script_is_an_identifier(name: str) -> None:
    assert is_identifier(name)
    assert step(name) == f".{name}"


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_text_is_a_name_in_brackets(name: str) -> None:
    assert is_property(name)
    assert not is_identifier(name)
    assert step(name).startswith('["')


def test_nothing_and_half_a_surrogate_pair_are_no_names() -> None:
    assert not is_property("")
    assert not is_property("a\ud800")
    assert step("a\ud800") == '["a\\ud800"]'


@given(st.text(max_size=4) | st.text("a$9_é価\u0301·", max_size=4))
@settings(deadline=None)  # the first call makes the pattern
def test_the_pattern_is_what_makes_an_identifier_but_for_its_form(name: str) -> None:
    is_composed = unicodedata.normalize("NFC", name) == name
    matches = re.fullmatch(identifier_pattern(), name) is not None
    assert is_identifier(name) == (matches and is_composed)


def test_the_pattern_knows_every_character() -> None:
    characters = "".join(map(chr, range(0x110000)))
    first, following = identifier_pattern().removesuffix("*").split("][")
    assert re.findall(f"{first}]", characters) == [each for each in characters if each.isidentifier()]
    assert re.findall(f"[{following}", characters.replace("$", "")) == [
        each for each in characters if f"_{each}".isidentifier()
    ]
