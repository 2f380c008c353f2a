"""What all ways into a collector share, and how it is opened: an intake for each environment's store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from collector.ingest.batch import BatchLimits
from collector.ingest.intake import Intake, Intakes
from collector.ingest.quota import Quota
from collector.ingest.redaction import Redaction
from collector.ingest.retention import ExpiryClock
from collector.ingest.shapes import EventShapes
from collector.ingest.spooling import SpoolingWriter, ping
from collector.ingest.store_writer import StoreWriter
from collector.ingest.tally import IntakeTally
from collector.instrumentation import IntakeCounters, SpoolCounters
from cube.errors import Unavailable
from cube.model.environment import Environment
from cube.model.horizon import Horizon
from cube.model.tier import DAY, MINUTE, Tier
from cube.settings import CollectorSettings, environments_of
from cube.spool import Replayer, Spool, store_mark
from cube.store.deletion import StoredDeletions
from cube.store.ports import Store
from cube.store.url import StoreUrl
from cube.web import Authenticator


@dataclass(frozen=True, slots=True)
class IngestContext:
    """What all ways in share. ``stores``, ``intakes``: by the name of their environment.

    ``clock``: now, in milliseconds since 1970. ``registry``: where what is counted is told.
    ``shapes``: of the batches that came; None where the stores have no use for runs.
    """

    stores: Mapping[str, Store]
    authenticator: Authenticator
    settings: CollectorSettings
    registry: CollectorRegistry
    clock: Callable[[], int]
    intakes: Intakes
    shapes: EventShapes | None

    @classmethod
    async def open(
        cls,
        stores: Mapping[str, Store],
        authenticator: Authenticator,
        settings: CollectorSettings,
        registry: CollectorRegistry,
        clock: Callable[[], int],
    ) -> IngestContext:
        """Make an intake for each store, and begin to replay their spools.

        Raises `InvalidSettings` where the spool's directory cannot be used.
        """
        opening = _Opening(settings, authenticator, registry, clock)
        intakes: dict[str, Intake] = {}
        try:
            for environment in environments_of(settings):
                intakes[environment.name] = await opening.intake(environment, stores[environment.name])
        except BaseException:
            for intake in intakes.values():
                await intake.close()
            raise
        shapes = EventShapes() if all(store.events.takes_runs for store in stores.values()) else None
        return cls(stores, authenticator, settings, registry, clock, intakes, shapes)

    @property
    def limits(self) -> BatchLimits:
        """What may come in one message."""
        return BatchLimits(self.settings.limits.event_bytes, self.settings.limits.batch_events)

    @property
    def keyless(self) -> Intake | None:
        """The intake of who has no key; None where a key is needed, and nobody knows whose."""
        return None if self.authenticator.keyless is None else self.intakes[self.authenticator.keyless.name]

    async def close(self) -> None:
        """Accept nothing more, and return when all that was accepted is durable."""
        await asyncio.gather(*(intake.close() for intake in self.intakes.values()))


def has_spool(settings: CollectorSettings) -> bool:
    """Tell whether a collector has a spool; beside a local store it would only be on the same disk."""
    return bool(settings.spool.directory) and not StoreUrl.parse(settings.store).is_local


class _Opening:
    def __init__(
        self,
        settings: CollectorSettings,
        authenticator: Authenticator,
        registry: CollectorRegistry,
        clock: Callable[[], int],
    ) -> None:
        bounds = settings.intake
        self._settings = settings
        self._clock = clock
        self._mask = Redaction(is_key=authenticator.is_key).text
        self._quota = Quota(max_events=bounds.waiting_events, max_bytes=bounds.waiting_bytes)
        self._counters = IntakeCounters(registry, self._quota)
        self._spool_counters = SpoolCounters(registry, clock) if has_spool(settings) else None

    async def intake(self, environment: Environment, store: Store) -> Intake:
        ages = environment.ages
        event_ms = _ms(ages.event_days, DAY)
        lag = self._settings.retention.lag_seconds
        expiry = ExpiryClock(event_ms, self._clock, seconds=lag) if event_ms else None
        tally = IntakeTally(self._clock, self._mask)
        return Intake(
            await self._writer(environment, store, expiry, tally),
            horizon=Horizon(_ms(ages.past_days, DAY), _ms(ages.future_minutes, MINUTE)),
            expiry=expiry,
            clock=self._clock,
            quota=self._quota,
            commit_events=self._settings.intake.commit_events,
            counters=self._counters,
            tally=tally,
        )

    async def _writer(
        self, environment: Environment, store: Store, expiry: ExpiryClock | None, tally: IntakeTally
    ) -> StoreWriter:
        counters = self._spool_counters
        if counters is None:
            return StoreWriter(store.events)
        spool = await Spool.open(
            Path(self._settings.spool.directory),
            environment.database,
            store_mark(self._settings.store),
            limit_bytes=self._settings.spool.bytes,
            clock=self._clock,
            on_damage=counters.damaged.inc,
        )
        counters.watch(spool)

        def replayed(events: int) -> None:
            self._counters.stored.inc(events)
            counters.replayed.inc(events)

        def refused(events: int, reason: str) -> None:
            self._counters.refused.labels("store").inc(events)
            tally.refused("store", events, f"Quarantined in the spool: {reason}")

        replayer = Replayer(
            store.events.save,
            spool,
            on_stored=replayed,
            on_refused=refused,
            expired_before=lambda: None if expiry is None else expiry.expired_before,
            deletions=StoredDeletions(store),
        )
        writer = SpoolingWriter(
            store, spool, replayer, patience_seconds=self._settings.spool.patience_seconds
        )
        try:
            await ping(store)
        except Unavailable as error:
            writer.lost(error.message)
        except BaseException:
            await writer.close()
            raise
        return writer


def _ms(length: float | None, unit: Tier) -> int | None:
    return int(length * unit.step) if length else None
