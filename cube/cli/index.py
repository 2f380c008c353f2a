"""``cube index``: the indexes on fields of a type's events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cube.cli.options import Place, check_type, complete_types, environment_option, settings_options
from cube.cli.output import TableColumn, json_option, show
from cube.errors import InvalidRequest, NotFound, shown

if TYPE_CHECKING:
    from cube.store.equality import BuildProgress, FieldPath


@click.command(epilog="Example: cube index request path")
@click.argument("type", shell_complete=complete_types)
@click.argument("field", required=False)
@click.option("--drop", is_flag=True, help="Remove the index instead.")
@click.option("--anyway", is_flag=True, help="Also where it keeps collectors on SQLite from saving for long.")
@environment_option
@settings_options
@json_option
def index(
    type: str,
    field: str | None,
    environment: str,
    config: str | None,
    store: str | None,
    database: str | None,
    *,
    drop: bool,
    anyway: bool,
    as_json: bool,
) -> None:
    """Index a FIELD of the events of TYPE, for filters such as eq(customer, "acme"); again does no harm.

    Without FIELD the indexed ones are listed: a table on a terminal, JSON lines otherwise. Questions use an
    index where it leaves few of many events.
    Events go on being saved while a MongoDB builds it; on SQLite they wait for it.
    """
    check_type(type)
    place = Place.read(config, store, database)
    place.environment(environment)
    if field is None:
        if drop or anyway:
            flag = "--drop" if drop else "--anyway"
            raise InvalidRequest(f"Got {flag} without a field; accepted is cube index {type} FIELD {flag}.")
        _list(place, environment, type, as_json=as_json)
    elif drop:
        _drop(place, environment, type, _path(field))
    else:
        _make(place, environment, type, _path(field), anyway=anyway)


def _list(place: Place, environment: str, type: str, *, as_json: bool) -> None:
    from cube.store.equality import text_of

    found = place.with_indexes(environment, lambda indexes: indexes.all(type))
    show(({"field": text_of(path)} for path in found), (TableColumn("field", whole=True),), as_json=as_json)


def _drop(place: Place, environment: str, type: str, path: FieldPath) -> None:
    from cube.store.equality import text_of

    if not place.with_indexes(environment, lambda indexes: indexes.drop(type, path)):
        raise NotFound(f"There is no index on {text_of(path)} of {type}; `cube index {type}` lists all.")
    click.echo(f"The index on {text_of(path)} of {type} is dropped.")


def _make(place: Place, environment: str, type: str, path: FieldPath, *, anyway: bool) -> None:
    from cube.store.equality import text_of

    progress = _progress(f"{text_of(path)} of {type}")
    made = place.with_indexes(environment, lambda indexes: indexes.make(type, path, progress, anyway=anyway))
    click.echo(f"The index on {text_of(path)} of {type} {'is made' if made else 'was there already'}.")


def _progress(what: str) -> BuildProgress:
    """Return what tells on standard error how far an index has come, each time once."""
    told: set[str] = set()

    def tell(done: int, events: int) -> None:
        share = f": {min(100, 100 * done // events)} %" if done and events else ""
        line = f"Indexing {what}, about {events} events{share}."
        if line not in told:
            told.add(line)
            click.echo(line, err=True)

    return tell


def _path(text: str) -> FieldPath:
    """Read a field as expressions write it; raises `InvalidExpression`, or `InvalidRequest`."""
    from cube.expression.grammar import parse_event
    from cube.expression.nodes import EventExpression, Field
    from cube.store.equality import checked

    match parse_event(f"any({text})"):
        case EventExpression(fields=(Field(path),), filters=()):
            return checked(path)
        case _:
            raise InvalidRequest(
                f'Got the field {shown(text)}; accepted is one, as status, request.host or headers["a name"].'
            )
