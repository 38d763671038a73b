"""Votes in shards, read one after the other: exact sums over more votes than fit into memory."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from emjax.errors import FitError
from emjax.infer.count_layout import Layout
from emjax.infer.votes_on_device import Part, compiled


class Shelf:
    """Layouts kept in files, in a folder of their own that `close` removes.

    Files are mapped into memory, so that the operating system keeps what fits, and reads the remainder again.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="emjax-"))
        self._trees: list[Any] = []

    def __len__(self) -> int:
        return len(self._trees)

    def put(self, layout: Layout) -> None:
        """Keep one more layout."""
        leaves, tree = jax.tree.flatten(layout)
        try:
            for i, leaf in enumerate(leaves):
                np.save(self._path(len(self), i), np.asarray(leaf))
        except OSError as error:
            raise FitError(
                f"Shard {len(self)} of the votes cannot be kept in {self.folder} "
                f"({error.strerror or error}): free space there, or set TMPDIR to a folder on a larger disk."
            ) from error
        self._trees.append(tree)

    def get(self, shard: int) -> Layout:
        """One layout, on the device."""
        tree = self._trees[shard]
        try:
            leaves = [np.load(self._path(shard, i), mmap_mode="r") for i in range(tree.num_leaves)]
        except (OSError, ValueError) as error:
            raise FitError(
                f"Shard {shard} of the votes has gone from {self.folder} in the middle of a fit ({error}): "
                f"was that folder cleaned? Fit again, with TMPDIR set to one that nothing else changes."
            ) from error
        return jax.tree.unflatten(tree, [jax.device_put(np.asarray(leaf)) for leaf in leaves])

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, shard: int, leaf: int) -> Path:
        return self.folder / f"shard-{shard:05d}-{leaf:02d}.npy"


class Stream:
    """Votes of users in shards; `get` fetches the layout of one. The next is fetched meanwhile.

    Sums are those of `Data` in another order of addition: in double precision, the same to rounding.
    """

    def __init__(
        self, get: Callable[[int], Layout], n_shards: int, index: Any, n_users: Any, n_outcomes: int
    ) -> None:
        self._get, self._n_shards, self.n_rows = get, n_shards, None
        self.index, self.n_users, self.n_outcomes = index, n_users, n_outcomes

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(layout, *args)`."""
        return _added(compiled(part)(layout, *args) for layout in self._layouts())

    def hold(self, make: Part, *args: Any) -> "HeldLater":
        """What `make(layout, *args)` is, to be computed again on each pass."""
        return HeldLater(self, make, args)

    def sum_of(self, part: Part, make: Part, given: Sequence[Any], args: Sequence[Any]) -> Any:
        """Sum over users of `part(make(layout, *given), layout, *args)`."""
        return _added(
            compiled(part)(compiled(make)(layout, *given), layout, *args) for layout in self._layouts()
        )

    def loop(self, going: Part, step: Part, state: Any) -> Any:
        """A plain loop: its steps take passes over files."""
        while going(state):
            state = step(state)
        return state

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call `function(self, *args)`."""
        return function(self, *args, **options)

    def _layouts(self) -> Iterator[Layout]:
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._fetch, 0)
            for shard in range(1, self._n_shards + 1):
                layout = coming.result()
                if shard < self._n_shards:
                    coming = ahead.submit(self._fetch, shard)
                yield layout

    def _fetch(self, shard: int) -> Layout:
        # Double precision is a setting of the thread, and this is another one.
        with jax.enable_x64(True):
            return self._get(shard)


class HeldLater:
    """`Held` that is computed again on each pass, since shards need not fit into memory."""

    def __init__(self, stream: Stream, make: Part, args: Sequence[Any]) -> None:
        self._stream, self._make, self._args = stream, make, args

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(value, layout, *args)`."""
        return self._stream.sum_of(part, self._make, self._args, args)


def _added(parts: Iterator[Any]) -> Any:
    total = next(parts)
    for part in parts:
        total = _plus(total, part)
    return jax.block_until_ready(total)


@jax.jit
def _plus(total: Any, part: Any) -> Any:
    return jax.tree.map(jnp.add, total, part)
