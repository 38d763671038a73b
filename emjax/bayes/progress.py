"""Progress of the sampler: one line on a terminal, with the phase, the draws done and the divergences."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from emjax.bayes.numpyro_import import tqdm

Tell = Callable[[str, int, int], None]  # the phase, new draws, and how many of them diverged


@contextmanager
def shown(wanted: bool, total: int) -> Iterator[Tell]:
    """A function to tell of new draws; nothing is shown unless wanted, and stderr is a terminal.

    Examples
    --------
    >>> with shown(True, 200) as tell:  # no terminal: nothing is written
    ...     tell("warm-up", 100, 3)
    """
    told, lock = {"divergences": 0}, Lock()
    # None disables it where the output is no terminal.
    with tqdm(total=total, disable=None if wanted else True, leave=False, unit=" draws") as bar:
        bar.set_description("compiling")

        def tell(phase: str, draws: int, diverged: int) -> None:
            with lock:  # chains run in threads
                told["divergences"] += diverged
                bar.set_description(phase, refresh=False)
                bar.set_postfix(told, refresh=False)
                bar.update(draws)

        yield tell
