"""How much Python holds."""

import tracemalloc
from contextlib import contextmanager


@contextmanager
def at_most(size):
    """What Python holds meanwhile stays below a size."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()
