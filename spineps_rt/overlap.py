"""Several runs side by side: the networks of one beside what others do before and after theirs.

A run has three parts: the first reads and prepares, the second needs the networks, the third finishes. One
scan is ahead, one in the networks, one behind, each in a thread of its own, never more; so memory is bounded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""A run that pauses twice, before the networks and after them, and returns what came of it."""


def complete(steps: Steps[T]) -> T:
    """Take what is left of a run without pausing.

    Args:
        steps: The run, begun or not.

    Returns:
        What came of it.

    Raises:
        Exception: Whatever the run raises.
    """
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def overlap(runs: Iterable[Steps[T]]) -> Iterator[Future[T]]:
    """Take runs side by side: the first part of the next and the third of the last beside a second part.

    The second parts happen in the caller's thread. An interrupt there lets the scan behind finish, so that
    what it was writing is whole, and begins nothing more.

    Args:
        runs: The runs, in order; the next is asked for when the one before it enters the networks.

    Yields:
        A future for each run, in order, done; its ``result()`` returns or raises what the run did. A run that
        fails does not stop the others.
    """
    waiting = iter(runs)
    with ThreadPoolExecutor(1, "ahead") as ahead, ThreadPoolExecutor(1, "behind") as behind:
        # A signal while a thread starts would leave it unknown to its pool: both start before anything does.
        wait([pool.submit(int) for pool in (ahead, behind)])
        following = _begin(waiting, ahead)
        last: Future[T] | None = None
        while following is not None:
            steps, begun = following
            error = begun.result()
            following = _begin(waiting, ahead)
            error = error or _advance(steps)
            if last is None:
                last = behind.submit(_end, steps, error)
                continue
            wait([last])
            done, last = last, behind.submit(_end, steps, error)
            yield done
            del done  # whatever the caller lets go is free
        if last is not None:
            wait([last])
            yield last


def one_by_one(runs: Iterable[Steps[T]]) -> Iterator[Future[T]]:
    """Take runs one after the other in the caller's thread, which takes the least memory.

    Args:
        runs: The runs, in order.

    Yields:
        As :func:`overlap`.
    """
    for steps in runs:
        done: Future[T] = Future()
        try:
            done.set_result(complete(steps))
        except Exception as error:
            done.set_exception(error)
        yield done


def _begin(waiting: Iterator[Steps[T]], ahead: Executor) -> tuple[Steps[T], Future[Exception | None]] | None:
    """Have the next run's first part done, if there is a next."""
    for steps in waiting:
        return steps, ahead.submit(_advance, steps)
    return None


def _advance(steps: Steps[T]) -> Exception | None:
    """Take a run to its next pause; an error waits until the run's turn comes."""
    try:
        next(steps)
    except Exception as error:
        return error
    return None


def _end(steps: Steps[T], error: Exception | None) -> T:
    if error is not None:
        raise error
    return complete(steps)
