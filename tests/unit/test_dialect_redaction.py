"""Keys are taken out of what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from collector.ingest.redaction import REMOVED, Redaction
from cube.model.environment import MADE_KEY, make_key


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "X-Api-Key", "writeKey", "Authorization", "access_token", "Cookie", "PASSWORD"],
)
def test_the_value_of_a_secret_goes_in_any_writing_of_its_name(name: str) -> None:
    assert Redaction().clean({"a": [{name: {"any": "thing"}}]}) == {"a": [{name: REMOVED}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/i?e=pv&apiKey=K1&aid=a", f"/i?e=pv&apiKey={REMOVED}&aid=a"),
        ("api_key=K1", f"api_key={REMOVED}"),
        ('{"x_api_key": "K1", "e": "pv"}', f'{{"x_api_key": "{REMOVED}", "e": "pv"}}'),
        ("{'x_api_key': ['K1']}", f"{{'x_api_key': ['{REMOVED}']}}"),
        ('{\\"writeKey\\":\\"K1\\"}', f'{{\\"writeKey\\":\\"{REMOVED}\\"}}'),
        ("Authorization: Basic SzE6", f"Authorization: Basic {REMOVED}"),
        ("access_token=K1;x", f"access_token={REMOVED};x"),
        ("the key of the api", "the key of the api"),
    ],
)
def test_a_secret_in_a_text_goes_and_the_text_stays(text: str, shown: str) -> None:
    assert Redaction().clean(text) == shown
    assert Redaction().clean([text, {"n": text}]) == [shown, {"n": shown}]


def test_the_keys_of_the_request_go_wherever_they_stand() -> None:
    redaction = Redaction(keys=["key-of-mine", "ab"])
    assert redaction.clean({"key-of-mine": "a key-of-mine ab"}) == {REMOVED: f"a {REMOVED} ab"}


@pytest.mark.parametrize(
    ("value", "shown"), [(1, 1), (None, None), (True, True), (b"\xff", "\ufffd"), ("\ud800", "\ufffd")]
)
def test_other_values_stay_or_become_text(value: Any, shown: Any) -> None:
    assert Redaction().clean(value) == shown


def test_what_is_very_deep_becomes_text_without_its_secrets() -> None:
    deep: Any = {"api_key": "K1"}
    for _ in range(500):
        deep = [deep]
    shown = Redaction().clean(deep)
    for _ in range(40):
        (shown,) = shown
    assert isinstance(shown, str)
    assert "K1" not in shown


def test_a_key_of_this_server_goes_wherever_it_stands_as_a_word() -> None:
    redaction = Redaction(is_key="key-1234".__eq__)
    assert redaction.text("""damaged "x_a"["'key-1234'], {key-1234}&k=key-1234""").count("key-1234") == 0
    assert redaction.text("monkey-1234 and key-12345") == "monkey-1234 and key-12345"


def test_what_has_the_form_of_a_made_key_goes_even_inside_a_word() -> None:
    assert Redaction().text(f"27{make_key()}") == f"27{REMOVED}"
    assert MADE_KEY.fullmatch(make_key())


@pytest.mark.parametrize("end", ["...", "…"])
def test_a_made_key_goes_that_a_message_has_cut(end: str) -> None:
    assert Redaction().text(f'Got the time "x{make_key()[:-3]}{end}; accepted') == (
        f'Got the time "x{REMOVED}{end}; accepted'
    )
    assert Redaction().text(f"cube_rejected is a type{end}") == f"cube_rejected is a type{end}"
