"""Pipelines and processes: what becomes of one where its process forks, or is one of multiprocessing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from weakref import WeakSet

from cube.client.pipeline import Pipeline, PipelinePlan


class ProcessPipelines:
    """Has one pipeline of a plan in each process, made when it is first asked for there.

    ``close``: what the end of a process of multiprocessing calls, in which nothing of atexit runs.
    """

    def __init__(self, plan: PipelinePlan, close: Callable[[], None]) -> None:
        self._plan = plan
        self._close = close
        self._lock = threading.RLock()
        self._mine: Pipeline | None = None
        _follow_forks()
        _all.add(self)

    def mine(self) -> Pipeline:
        """Return this process's pipeline, which sends already."""
        if self._mine is not None:
            return self._mine
        with self._lock:
            if self._mine is None:
                pipeline = Pipeline(self._plan)
                pipeline.start()
                self._mine = pipeline
                self._follow_process()
            return self._mine

    def before_fork(self) -> None:
        """Have nothing under way that a new process could not go on with."""
        self._lock.acquire()
        if self._mine is not None:
            self._mine.before_fork()

    def after_fork(self) -> None:
        """Go on, in the process that forked."""
        if self._mine is not None:
            self._mine.after_fork()
        self._lock.release()

    def in_child(self) -> None:
        """Begin anew, in the new process; what waits in the old one is sent there."""
        inherited, self._mine = self._mine, None
        self._lock = threading.RLock()
        if inherited is not None:
            inherited.forget()
            _inherited.append(inherited)

    def _follow_process(self) -> None:
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            from multiprocessing.util import Finalize

            Finalize(None, self._close, exitpriority=10)


_all: WeakSet[ProcessPipelines] = WeakSet()
_forking: list[ProcessPipelines] = []
_inherited: list[Pipeline] = []
"""Those of the process that this one was forked from, never to be collected: to close an event loop of
theirs would change the parent's, which has the same selector."""


@cache
def _follow_forks() -> None:
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)


def _before_fork() -> None:
    _forking.extend(_all)
    for each in _forking:
        each.before_fork()


def _after_fork() -> None:
    for each in _forking:
        each.after_fork()
    _forking.clear()


def _in_child() -> None:
    for each in _forking:
        each.in_child()
    _forking.clear()
