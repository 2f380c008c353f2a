"""Store URLs name a MongoDB or a directory for SQLite."""

from __future__ import annotations

import pytest

from cube.errors import InvalidSettings
from cube.store.url import StoreUrl


@pytest.mark.parametrize(
    ("text", "scheme", "location"),
    [
        ("mongodb://127.0.0.1:27017", "mongodb", "mongodb://127.0.0.1:27017"),
        ("mongodb://u:p@a,b/?replicaSet=r", "mongodb", "mongodb://u:p@a,b/?replicaSet=r"),
        ("mongodb+srv://example.org", "mongodb", "mongodb+srv://example.org"),
        ("sqlite:data", "sqlite", "data"),
        ("sqlite:/var/lib/cube", "sqlite", "/var/lib/cube"),
        ("sqlite:///var/lib/cube", "sqlite", "/var/lib/cube"),
    ],
)
def test_a_store_url_has_a_scheme_and_a_location(text: str, scheme: str, location: str) -> None:
    assert StoreUrl.parse(text) == StoreUrl(scheme, location)  # type: ignore[arg-type]  # one of the two


def test_a_store_url_says_whether_it_is_of_this_machine() -> None:
    assert StoreUrl.parse("sqlite:data").is_local
    assert not StoreUrl.parse("mongodb://127.0.0.1").is_local


@pytest.mark.parametrize(
    "text", ["", "data", "mongodb:", "mongodb://", "sqlite:", "sqlite://", "postgres://x", "MONGODB://x"]
)
def test_any_other_text_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"accepted are mongodb://HOST:PORT and sqlite:DIRECTORY"):
        StoreUrl.parse(text)


def test_an_error_shows_no_password() -> None:
    with pytest.raises(InvalidSettings) as refused:
        StoreUrl.parse("mongo://user:secret@host")
    assert "secret" not in str(refused.value)
    assert "host" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://u:p@ss@host:1/db", "mongodb://host:1/db"),
        ("mongodb://u:p@a:1,b:2/db?authSource=admin", "mongodb://a:1,b:2/db"),
        ("mongodb://a/?tlsCertificateKeyFilePassword=p", "mongodb://a/"),
        ("mongodb://a/?tlsCertificateKeyFilePassword=p@q", "mongodb://..."),
        ("mongodb:u:p@host", "mongodb:host"),
        ("sqlite:data", "sqlite:data"),
        ("sqlite:/var/what?/me@home", "sqlite:/var/what?/me@home"),
        ("data", "data"),
    ],
)
def test_a_shown_url_has_no_password(text: str, shown: str) -> None:
    assert StoreUrl.shown(text) == shown
