"""A pool of processes that may die: results stream, and memory is bounded."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Workers are replaced after so many items each, so that what libraries leak stays bounded.
ITEMS_PER_WORKER = 1000


class WorkerDied(Exception):
    """The process that worked on an item ended: killed, out of memory, or exit in C++."""


class BoundedPool(Generic[Item, Result]):
    """Apply a function to many items in processes, a few at a time.

    When a worker dies, what was in work is done again, each item in a process of its own, so
    that only the item that killed it is lost.

    Parameters
    ----------
    function : callable
        Of the top level of a module; gets an item.
    processes : int
        Workers.
    initializer : callable, optional
        Called in each new worker with `arguments`.
    arguments : tuple
        For the initializer.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        processes: int,
        initializer: Callable[..., None] | None = None,
        arguments: tuple[Any, ...] = (),
    ) -> None:
        self._function = function
        self._processes = processes
        self._initializer = initializer
        self._arguments = arguments
        # not fork: threads of a progress bar or of torch would be cut off in the middle
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["mofonon.structures.curation"])

    def map(self, items: Iterable[Item]) -> Iterator[tuple[Item, Result | WorkerDied]]:
        """Give each item with its result, in the order in which they are finished.

        At most four items a worker are in work or wait, so that a long generator of large
        items is never held.
        """
        remaining = iter(items)
        while True:
            # not max_tasks_per_child: its last items can wait for ever (CPython issue 115634)
            share = islice(remaining, ITEMS_PER_WORKER * self._processes)
            outcomes = self._map_share(share)
            first = next(outcomes, None)
            if first is None:
                return
            yield first
            yield from outcomes

    def _map_share(self, items: Iterator[Item]) -> Iterator[tuple[Item, Result | WorkerDied]]:
        """Work on the items of one generation of workers."""
        running: dict[Future[Result], Item] = {}
        executor = self._executor(self._processes)
        try:
            while True:
                for item in islice(items, 4 * self._processes - len(running)):
                    running[self._submit(executor, item)] = item
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                try:
                    for future in done:
                        result = future.result()
                        yield running.pop(future), result
                except BrokenProcessPool:
                    executor.shutdown(wait=False, cancel_futures=True)
                    for item in list(running.values()):
                        yield item, self._alone(item)
                    running.clear()
                    executor = self._executor(self._processes)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, executor: ProcessPoolExecutor, item: Item) -> Future[Result]:
        """Submit an item; if a worker died meanwhile, its future has that error."""
        try:
            return executor.submit(self._function, item)
        except BrokenProcessPool as error:
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return failed

    def _alone(self, item: Item) -> Result | WorkerDied:
        """Do one item in a process of its own."""
        with self._executor(1) as executor:
            try:
                return executor.submit(self._function, item).result()
            except BrokenProcessPool:
                return WorkerDied("the process that worked on it ended")

    def _executor(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes,
            mp_context=self._context,
            initializer=self._initializer,
            initargs=self._arguments,
        )
