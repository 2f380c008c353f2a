"""Who is admitted, to which environment, and who is not."""

from __future__ import annotations

import base64

import pytest
from tornado.httputil import HTTPHeaders

from cube.errors import AccessDenied, InvalidSettings, Unauthenticated
from cube.model.environment import DEFAULT, Caller, Credentials, Environment, Key, Scope, digest
from cube.web import Authenticator, KeyRing, standard_credentials
from cube.web.keys import load_keys

DEV, PROD = Environment("dev", "cube_dev"), Environment("prod", "cube_prod")
OPEN = Environment("dev", "cube_dev", open=True)
WRITER = Key("writer", digest("w"), "prod", frozenset({Scope.WRITE}))
READER = Key("reader", digest("r"), "prod", frozenset({Scope.READ}), frozenset({"a"}))


def authenticator(*environments: Environment, keys: tuple[Key, ...] = ()) -> Authenticator:
    return Authenticator(environments, KeyRing(keys))


def told(*keys: str, environment: str | None = None) -> Credentials:
    return Credentials(frozenset(keys), frozenset() if environment is None else frozenset({environment}))


def test_without_keys_anybody_may_do_anything_in_the_only_environment() -> None:
    assert authenticator(DEV).admit(told(), Scope.WRITE) == Caller(DEV)
    assert authenticator(DEV).admit(told("some"), Scope.READ) == Caller(DEV)
    assert authenticator(DEV).admit(told(environment="staging"), Scope.READ) == Caller(DEV)


def test_without_keys_an_environment_that_is_named_is_taken() -> None:
    assert authenticator(OPEN, PROD).admit(told(environment="prod"), Scope.WRITE) == Caller(PROD)
    assert authenticator(OPEN, PROD).admit(told(), Scope.WRITE) == Caller(OPEN)


def test_several_environments_without_keys_or_an_open_one_are_refused_at_the_start() -> None:
    with pytest.raises(InvalidSettings, match="dev, prod have no keys"):
        authenticator(DEV, PROD)


def test_with_keys_a_request_without_one_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="A key is needed"):
        authenticator(DEV, PROD, keys=(WRITER,)).admit(told(), Scope.WRITE)


def test_with_keys_a_request_without_one_goes_to_the_open_environment_and_to_no_other() -> None:
    mixed = authenticator(OPEN, PROD, keys=(WRITER,))
    assert mixed.admit(told(), Scope.WRITE) == Caller(OPEN)
    assert mixed.admit(told(environment="dev"), Scope.WRITE) == Caller(OPEN)
    with pytest.raises(Unauthenticated, match='"prod" needs a key'):
        mixed.admit(told(environment="prod"), Scope.WRITE)


def test_an_unknown_key_is_refused_even_where_an_environment_is_open() -> None:
    with pytest.raises(Unauthenticated, match="not known"):
        authenticator(OPEN, PROD, keys=(WRITER,)).admit(told("x"), Scope.WRITE)


def test_a_key_leads_to_its_environment() -> None:
    assert authenticator(DEV, PROD, keys=(WRITER,)).admit(told("w"), Scope.WRITE) == Caller(PROD, WRITER)


@pytest.mark.parametrize(
    ("credentials", "scope", "sentence"),
    [
        (told("w"), Scope.READ, "does not allow to read"),
        (told("w", environment="dev"), Scope.WRITE, '"dev", which is not that of the key'),
        (told("w", "r"), Scope.WRITE, "2 different keys"),
        (Credentials(frozenset({"w"}), frozenset({"dev", "prod"})), Scope.WRITE, "2 different environments"),
    ],
)
def test_a_key_that_may_not_is_refused(credentials: Credentials, scope: Scope, sentence: str) -> None:
    with pytest.raises(AccessDenied, match=sentence) as refused:
        authenticator(DEV, PROD, keys=(WRITER, READER)).admit(credentials, scope)
    assert not isinstance(refused.value, Unauthenticated)


def test_a_key_of_an_environment_that_is_not_there_is_unknown() -> None:
    with pytest.raises(Unauthenticated):
        authenticator(DEV, keys=(WRITER,)).admit(told("w"), Scope.WRITE)


def test_a_key_for_some_types_refuses_the_others() -> None:
    Caller(PROD, READER).check_type("a")
    with pytest.raises(AccessDenied, match="Got the type b; the key accepts a"):
        Caller(PROD, READER).check_type("b")


def test_where_no_environments_are_configured_what_requests_say_of_them_is_not_heeded() -> None:
    alone = Environment(DEFAULT, "cube")
    key = Key("writer", digest("w"), DEFAULT)
    said = Credentials(frozenset({"w"}), frozenset({"production", "staging"}))
    assert authenticator(alone, keys=(key,)).admit(said, Scope.WRITE) == Caller(alone, key)


def test_a_revoked_key_counts_no_more_and_the_last_one_opens_nothing() -> None:
    ring = KeyRing()
    ring.replace([WRITER])
    entry = Authenticator((PROD,), ring)
    caller = entry.admit(told("w"), Scope.WRITE)
    assert entry.admits(caller)
    ring.replace([])
    assert not entry.admits(caller)
    with pytest.raises(Unauthenticated):
        entry.admit(told(), Scope.WRITE)


async def test_a_first_key_that_comes_while_they_are_read_is_known_when_it_is_needed() -> None:
    class Keys:
        """Whatever is asked first, the key is added right after it."""

        def __init__(self) -> None:
            self.added: list[Key] = []

        async def all(self) -> list[Key]:
            found, self.added = self.added, [WRITER]
            return found

        async def were_added(self) -> bool:
            were, self.added = bool(self.added), [WRITER]
            return were

    keys, ring = Keys(), KeyRing()
    await load_keys(keys, ring)
    assert ring.find("w") == (WRITER if ring.required else None)
    await load_keys(keys, ring)
    assert (ring.required, ring.find("w")) == (True, WRITER)


def test_who_came_before_there_were_keys_is_admitted_no_more() -> None:
    ring = KeyRing()
    entry = Authenticator((PROD,), ring)
    caller = entry.admit(told(), Scope.READ)
    assert entry.admits(caller)
    ring.replace([WRITER])
    assert not entry.admits(caller)


@pytest.mark.parametrize(
    ("headers", "query", "keys"),
    [
        ({}, "", set()),
        ({"Authorization": "Bearer abc"}, "", {"abc"}),
        ({"Authorization": "bearer  abc"}, "", {"abc"}),
        ({"Authorization": "Basic " + base64.b64encode(b"abc:").decode()}, "", {"abc"}),
        ({"Authorization": "Basic " + base64.b64encode(b"abc:def").decode()}, "", {"abc"}),
        ({"Authorization": "Basic ?"}, "", set()),
        ({"Authorization": "Digest abc"}, "", set()),
        ({"X-Api-Key": "abc"}, "a=b", {"abc"}),
        ({}, "expression=a&api_key=a%20b", {"a b"}),
        ({"X-Api-Key": "abc"}, "api_key=def", {"abc", "def"}),
        ({"X-Api-Key": "abc"}, "api_key=abc", {"abc"}),
    ],
)
def test_where_a_request_may_have_its_key(headers: dict[str, str], query: str, keys: set[str]) -> None:
    assert standard_credentials(HTTPHeaders(headers), query) == Credentials(frozenset(keys))
