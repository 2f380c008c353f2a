"""The intakes of a collector: one for each environment, with its store and, where it is on, its spool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from collector.ingest.clock_jumps import Kept
from collector.ingest.intake import Intake, Saver
from collector.ingest.quota import Budget
from collector.ingest.replayer import Drain, ping
from collector.ingest.spooling import Direct, Relay
from collector.instrumentation import IntakeFigures, SpoolFigures
from cube.errors import Unavailable
from cube.model.environment import Ages
from cube.model.horizon import Horizon
from cube.model.tier import DAY, MINUTE, Tier
from cube.settings import CollectorSettings, environments_of
from cube.spool import Delivery, Spool, store_mark
from cube.store.ports import Store
from cube.store.url import StoreUrl


async def open_intakes(
    stores: Mapping[str, Store],
    settings: CollectorSettings,
    registry: CollectorRegistry,
    clock: Callable[[], int],
) -> dict[str, Intake]:
    """Make an intake for each store, by the name of its environment, and begin to drain their spools.

    Raises `InvalidSettings` where the spool's directory cannot be used.
    """
    bounds = settings.intake
    budget = Budget(max_events=bounds.waiting_events, max_bytes=bounds.waiting_bytes)
    figures = IntakeFigures(registry)
    figures.watch(budget)
    ages = {environment.name: environment.ages for environment in environments_of(settings)}
    lag = settings.retention.lag_seconds
    kept = {name: Kept(_ms(own.event_days, DAY) or 0, clock, seconds=lag) for name, own in ages.items()}
    savers = await _savers(stores, settings, registry, clock, figures, kept)
    return {
        name: Intake(
            saver,
            horizon=_horizon(ages[name]),
            kept=kept[name],
            clock=clock,
            budget=budget,
            commit_events=settings.intake.commit_events,
            figures=figures,
        )
        for name, saver in savers.items()
    }


def has_spool(settings: CollectorSettings) -> bool:
    """Tell whether a collector has a spool; beside a local store it would only be on the same disk."""
    return bool(settings.spool.directory) and not StoreUrl.parse(settings.store).is_local


def _horizon(ages: Ages) -> Horizon:
    return Horizon(_ms(ages.past_days, DAY), _ms(ages.future_minutes, MINUTE))


def _ms(length: float | None, unit: Tier) -> int | None:
    return int(length * unit.step) if length else None


async def _savers(
    stores: Mapping[str, Store],
    settings: CollectorSettings,
    registry: CollectorRegistry,
    clock: Callable[[], int],
    figures: IntakeFigures,
    kept: Mapping[str, Kept],
) -> Mapping[str, Saver]:
    if not has_spool(settings):
        return {name: Direct(store.events) for name, store in stores.items()}
    databases = {environment.name: environment.database for environment in environments_of(settings)}
    spool_figures = SpoolFigures(registry, clock)
    savers: dict[str, Saver] = {}
    try:
        for name, store in stores.items():
            spool = await _spool(databases[name], settings, spool_figures, clock)
            savers[name] = relay = _relay(store, spool, settings, figures, spool_figures, kept[name])
            await _meet(store, relay)
    except BaseException:
        for saver in savers.values():
            await saver.close()
        raise
    return savers


async def _meet(store: Store, relay: Relay) -> None:
    """Have a store that does not answer count as away from the start."""
    try:
        await ping(store)
    except Unavailable as error:
        relay.lost(error.message)


async def _spool(
    database: str, settings: CollectorSettings, figures: SpoolFigures, clock: Callable[[], int]
) -> Spool:
    spool = await Spool.open(
        Path(settings.spool.directory),
        database,
        store_mark(settings.store),
        limit_bytes=settings.spool.bytes,
        clock=clock,
        on_damage=figures.damaged.inc,
    )
    figures.watch(spool)
    return spool


def _relay(
    store: Store,
    spool: Spool,
    settings: CollectorSettings,
    figures: IntakeFigures,
    spool_figures: SpoolFigures,
    kept: Kept,
) -> Relay:
    def drained(events: int) -> None:
        figures.drained(events)
        spool_figures.drained.inc(events)

    patience = settings.spool.patience_seconds
    relay = Relay(store.events, spool, patience_seconds=patience, on_stored=drained)
    delivery = Delivery(
        store.events,
        spool,
        on_stored=drained,
        on_refused=lambda events: figures.refused(events, "store"),
        expired_before=lambda: kept.expired_before,
    )
    Drain(store, spool, relay, delivery)
    return relay
