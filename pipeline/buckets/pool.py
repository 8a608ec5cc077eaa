"""Workers that look at buckets: what they are asked, and how their progress is shown."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from tqdm import tqdm

T = TypeVar("T")
R = TypeVar("R")

# Of every worker. One Polars thread per process: the pool is the parallelism. The memory of one bucket serves the next:
# giving it back and asking again took a quarter of the kernel's CPU.
ENVIRONMENT = {
    "POLARS_MAX_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
}


class Pool(Protocol):
    """Workers that see the project's folder and apply functions of this package."""

    def map(self, function: Callable[[T], R], items: Sequence[T], /) -> Iterator[R]:
        """What the function says of each item, in their order; an error of it is raised here."""


def followed(results: Iterator[R], of: int, says: str) -> Iterator[R]:
    """The results, with a line on standard error of how many buckets there are so far."""
    return iter(tqdm(results, says, of, unit="bucket", mininterval=1 if sys.stderr.isatty() else 15))
