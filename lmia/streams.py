"""Several streams of encoding on one machine's cores, instead of several cores on one operation.

Threads inside an operation wait for each other at every one of its steps, and stall whenever something else wants their
core; measured on two cores, decoding beside a two-threaded forward pass made it four times slower. Streams of one
thread each need no such meeting: whatever is ready runs, decoding or encoding, in one pool of one thread a core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Semaphore
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")

MOST = 8
"""More streams than these only cost memory; further cores go to each stream's operations."""


class Streams:
    """Runs calls beside the caller, without gradients, a bounded number of them ahead.

    Args:
        count: streams; 0 runs every call at once, in the caller's thread, as a GPU wants it.

    Example:
        >>> with streams(2) as two:
        ...     later = [two.run(pow, 2, k) for k in range(4)]
        ...     [result() for result in later]
        [1, 2, 4, 8]
    """

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="stream") if count else None
        self._ahead = Semaphore(2 * count)

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Start a call and return how to get its result (or its exception); waits while too many are ahead."""
        if self.pool is None:
            result = call(*args, **kwargs)
            return lambda: result

        def within() -> T:
            with torch.no_grad():  # the mode belongs to a thread
                return call(*args, **kwargs)

        self._ahead.acquire()
        future = self.pool.submit(within)
        future.add_done_callback(lambda _: self._ahead.release())
        return future.result

    def then(self, call: Callable[[], T]) -> Callable[[], T]:
        """Return how to get what `call` makes of earlier results.

        On streams they have to be waited for, so `call` runs when it is asked for. On a GPU it is queued at once behind
        them, and only who asks waits, for this much of the queue and no more.
        """
        if self.pool is not None:
            return call
        result, arrived = call(), _fence()

        def waited() -> T:
            arrived()
            return result

        return waited

    def close(self) -> None:
        """Wait for what runs, drop what has not begun."""
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)


def _fence() -> Callable[[], object]:
    """Mark the end of a GPU's queue; return how to wait until it has come so far."""
    if not torch.cuda.is_available():
        return lambda: None
    event: torch.Event = torch.cuda.current_stream().record_event()
    return event.synchronize


@contextmanager
def streams(threads: int) -> Iterator[Streams]:
    """Share `threads` cores out among streams for a while; 0 for none. Torch's own thread count is put back afterwards."""
    count = min(threads, MOST)
    before = torch.get_num_threads()
    made = Streams(count)
    try:
        if count:
            torch.set_num_threads(max(1, threads // count))
        yield made
    finally:
        made.close()
        torch.set_num_threads(before)
