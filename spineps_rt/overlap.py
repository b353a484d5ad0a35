"""Several scans side by side: the networks of one beside what others do before and after theirs.

A run has three stages: the first reads and prepares, the second needs the networks, the third finishes. One
scan is ahead, one in the networks, one behind, each in a thread of its own, never more; so memory is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Ahead = TypeVar("Ahead")
Middle = TypeVar("Middle")
Done = TypeVar("Done")


@dataclass(frozen=True)
class ThreeStages(Generic[Item, Ahead, Middle, Done]):
    """What is done with every item: each stage takes what the one before it returned."""

    prepare: Callable[[Item], Ahead]
    """Before the networks."""
    predict: Callable[[Ahead], Middle]
    """The networks; never for two items at once."""
    finish: Callable[[Middle], Done]
    """After them."""

    def run(self, item: Item) -> Done:
        """Take one item through all stages."""
        return self.finish(self.predict(self.prepare(item)))

    def one_by_one(self, items: Iterable[Item]) -> Iterator[Future[Done]]:
        """Take items one after the other in the caller's thread, which takes the least memory.

        Args:
            items: The items, in order.

        Yields:
            As :meth:`overlap`.
        """
        for item in items:
            yield _settled(self.run, item)

    def overlap(self, items: Iterable[Item]) -> Iterator[Future[Done]]:
        """Take items side by side: the next is prepared and the last finished while one is predicted.

        Predictions happen in the caller's thread. An interrupt there lets the item behind finish, so that
        what it was writing is whole, and begins nothing more.

        Args:
            items: The items, in order; the next is asked for when the one before it enters the networks.

        Yields:
            A future for each item, in order, done; its ``result()`` returns or raises what the stages did. An
            item that fails does not stop the others.
        """
        waiting = iter(items)
        with ThreadPoolExecutor(1, "ahead") as ahead, ThreadPoolExecutor(1, "behind") as behind:
            # A signal while a thread starts would leave it unknown to its pool: both start before anything.
            wait([pool.submit(int) for pool in (ahead, behind)])
            following = self._begin(waiting, ahead)
            last: Future[Done] | None = None
            while following is not None:
                prepared = following
                wait([prepared])
                following = self._begin(waiting, ahead)
                predicted = _settled(lambda now: self.predict(now.result()), prepared)
                del prepared  # what was prepared belongs to nobody now
                if last is not None:
                    wait([last])
                done, last = last, behind.submit(self._end, predicted)
                del predicted
                if done is not None:
                    yield done
                del done  # whatever the caller lets go is free
            if last is not None:
                wait([last])
                yield last

    def _begin(self, waiting: Iterator[Item], ahead: Executor) -> Future[Ahead] | None:
        """Have the next item prepared, if there is a next."""
        for item in waiting:
            return ahead.submit(self.prepare, item)
        return None

    def _end(self, predicted: Future[Middle]) -> Done:
        return self.finish(predicted.result())


A = TypeVar("A")
B = TypeVar("B")


def _settled(work: Callable[[A], B], item: A) -> Future[B]:
    """Do some work now; the future holds its result or its error, never an interrupt."""
    done: Future[B] = Future()
    try:
        done.set_result(work(item))
    except Exception as error:  # noqa: BLE001 (it is raised where its turn comes)
        done.set_exception(error)
    return done
