"""The evaluator put together: a query service for each environment's store, behind one server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from cube.errors import Unavailable
from cube.process.recent_counts import RecentCounts
from cube.settings import EvaluatorSettings, environments_of
from cube.store.ports import Store
from cube.web import Authenticator, Proxies, RequestEvents, Server, Service, Telemetry, serve
from evaluator.answers.rows import AnswerTexts
from evaluator.api.routes import routes
from evaluator.api.self_events import SelfEvents
from evaluator.api.service import QueryService, QueryServices
from evaluator.boards.refresher import BoardRefresher
from evaluator.context import Clock, QueryContext, QueryCounters, QuestionLog
from evaluator.engine.deferred_metrics import DeferredMetrics
from evaluator.engine.keeping import Keeping
from evaluator.engine.kept_series import SeriesCache
from evaluator.engine.pyramid import Pyramid
from evaluator.rehearsal import Rehearsal, rehearse
from evaluator.scheduling.scheduler import OVERRUNS, QueryCost, Scheduler
from evaluator.sql.service import SqlService
from evaluator.streams.poller import EventStreams

SCAN_THREADS = 1 + OVERRUNS
"""Threads that reduce blocks: one at a time, and those whose piece lasts."""

TEXTS_SHARE = 0.25
"""Of what answers may take that are kept, what their texts may."""

READY_SECONDS = 5.0
"""How long a store may take to answer until the evaluator counts as not ready."""


class EvaluatorDaemon:
    """An evaluator that listens from when it is made, in a running event loop; ended by `stop`.

    ``stores``: by the name of their environment; they are their caller's. Raises `InvalidSettings` where
    the port cannot be had.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        authenticator: Authenticator,
        settings: EvaluatorSettings,
        registry: CollectorRegistry,
        clock: Clock,
    ) -> None:
        self._stores = stores
        self._authenticator = authenticator
        self._settings = settings
        self._clock = clock
        self._own = (
            {name: SelfEvents(store.events, clock) for name, store in stores.items()}
            if settings.self_events
            else {}
        )
        self._requested = RequestEvents(authenticator, clock, lambda name, event: self._own[name].add(event))
        self._executor = ThreadPoolExecutor(SCAN_THREADS, thread_name_prefix="cube-scan")
        self._counters = QueryCounters(registry)
        self._buckets = {name: RecentCounts(clock) for name in stores}
        self._telemetry = Telemetry(registry)
        self._answers = self._telemetry.bound(settings.http.answers_bytes)
        self._scheduler = Scheduler(settings.limits)
        self._keeping = Keeping(settings)
        self._texts = AnswerTexts(int(TEXTS_SHARE * settings.blocks.series_bytes))
        self._series = SeriesCache(
            settings.blocks.series_bytes - int(TEXTS_SHARE * settings.blocks.series_bytes)
        )
        self._counters.keeps(self._kept_bytes)
        saving = partial(self._scheduler.time_slice, QueryCost.background(0))
        self._metrics = {name: DeferredMetrics(store.metrics, saving) for name, store in stores.items()}
        self._services = {name: self._query_service(name, store) for name, store in stores.items()}
        pyramids = {name: service.pyramid for name, service in self._services.items()}
        self._refresher = BoardRefresher(pyramids, settings.boards, registry)
        self._sql = (
            SqlService(
                self._services,
                environments_of(settings),
                lambda: authenticator.requires_keys,
                settings,
                self._counters,
            )
            if settings.sql.enabled
            else None
        )
        rehearse(files=self._keeping.has_files)
        self._keeping.preload()
        self._server = self._serve()
        self._refresher.start()
        self._keeping.start()
        if self._sql is not None:
            self._sql.start()
        self._rehearsal = Rehearsal([service.context for service in self._services.values()])

    @property
    def addresses(self) -> dict[str, str]:
        return {"http": self._server.url}

    def told(self, environment: str) -> dict[str, Any]:
        """Return what the daemon's status tells of an environment, and of the memory and queue of all."""
        service = self._services[environment]
        return {
            **service.questions.told(),
            "buckets": self._buckets[environment].told_up_to(service.context.buckets),
            "kept_bytes": self._kept_bytes(),
            "waiting": {"computations": self._scheduler.waiting},
        }

    def close_revoked(self) -> None:
        self._server.service.close_revoked()

    async def stop(self, seconds: float) -> None:
        """Stop accepting, and answer what was accepted, within so many seconds."""
        await self._server.stop(seconds)
        await self._refresher.close()
        await self._rehearsal.close()
        await self._keeping.close()
        if self._sql is not None:
            await self._sql.close()
        for service in self._services.values():
            await service.streams.close()
            await service.pyramid.close()
        for metrics in self._metrics.values():
            await metrics.close()
        for own in self._own.values():
            await own.close()
        self._executor.shutdown(cancel_futures=True)

    def _query_service(self, name: str, store: Store) -> QueryService:
        context = QueryContext(
            store, self._settings, self._scheduler, self._counters, self._executor, self._clock
        )
        own = self._own.get(name)
        pyramid = Pyramid(
            context,
            self._keeping.blocks(name, context),
            on_computed=None if own is None else own.computed,
            series=self._series if self._settings.blocks.series_bytes else None,
            metrics=self._metrics[name],
        )
        log = QuestionLog(self._clock)
        return QueryService(pyramid, EventStreams(pyramid), self._answers, log, self._texts)

    def _kept_bytes(self) -> int:
        return self._keeping.bytes + self._series.bytes + self._texts.bytes

    def _serve(self) -> Server:
        settings = self._settings
        service = Service(
            routes(
                QueryServices(self._services),
                settings.limits,
                self._telemetry,
                self._check_ready,
                self._refresher,
                self._sql,
            ),
            access=self._authenticator,
            telemetry=self._telemetry,
            answers=self._answers,
            max_body_bytes=settings.limits.message_bytes,
            max_sockets=settings.limits.sockets,
            http=settings.http,
            proxies=Proxies(settings.trusted_proxies, settings.proxy_header),
            on_request=self._requested if self._own else None,
        )
        return serve(service, settings)

    async def _check_ready(self) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await asyncio.gather(*(store.ping() for store in self._stores.values()))
        except TimeoutError:
            raise Unavailable(f"The store did not answer within {READY_SECONDS:g} s.") from None
