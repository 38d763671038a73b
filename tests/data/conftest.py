"""Two sets of votes are the same when every number and every name in them is."""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import narwhals as nw
import numpy as np
import pytest

from emjax.data import Preferences

_ARRAYS = ("users", "comparisons", "user", "comparison", "counts", "shown")


def _assert_same(first: Preferences, second: Preferences) -> None:
    for name in _ARRAYS:
        mine, yours = getattr(first, name), getattr(second, name)
        assert mine.dtype == yours.dtype, name
        np.testing.assert_array_equal(mine, yours, err_msg=name, strict=True)
    assert first.left_out == second.left_out
    assert first.outcomes == second.outcomes and first.strata == second.strata
    for mine, yours in ((first.contexts, second.contexts), _known(first, second)):
        assert (mine is None) == (yours is None)
        if mine is not None and yours is not None:
            np.testing.assert_array_equal(mine, yours, strict=True)


def _known(*both: Preferences) -> list[np.ndarray | None]:
    """The anchor votes of each, with the users they are of, as one table; None where there are none."""
    every = [prefs.anchor_votes for prefs in both]
    return [None if known is None else np.array([*known.columns.values()], object) for known in every]


def _assert_sound(prefs: Preferences) -> None:
    """Everything that the class promises about its arrays."""
    assert prefs.user.dtype == prefs.comparison.dtype == np.int64
    assert prefs.counts.dtype == prefs.shown.dtype == np.float64
    assert prefs.counts.shape == (prefs.user.size, prefs.outcomes.n)
    assert prefs.shown.shape == (prefs.n_comparisons, 2)
    keys = prefs.user * prefs.n_comparisons + prefs.comparison
    assert np.all(np.diff(keys) > 0), "rows are sorted and unique"
    assert np.all(prefs.counts >= 0) and np.all(prefs.counts.any(axis=1))
    assert np.all(prefs.users[1:] > prefs.users[:-1])
    assert prefs.users.dtype == np.int64 or all(type(name) is str for name in prefs.users)
    np.testing.assert_allclose(prefs.shown.sum(), prefs.n_votes, rtol=1e-12)
    if prefs.has_models:
        of = [""] * prefs.n_comparisons if prefs.contexts is None else prefs.contexts
        pairs = [(*sorted(pair), context) for pair, context in zip(prefs.comparisons, of, strict=True)]
        assert pairs == sorted(set(pairs))
        shown: dict = {}  # of a pair, whatever the contexts
        for pair, number in zip(map(tuple, prefs.comparisons), prefs.shown, strict=True):
            shown[pair] = shown.get(pair, 0.0) + number
        for (first, second), (as_is, turned) in shown.items():
            assert as_is > turned or (as_is == turned and first < second)
    else:
        assert np.all(prefs.comparisons[1:] > prefs.comparisons[:-1])
    arrays = (prefs.users, prefs.comparisons, prefs.user, prefs.comparison, prefs.counts, prefs.shown)
    assert not any(array.flags.writeable for array in arrays)


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Preferences, Preferences], None]:
    """Raises unless two Preferences hold the same users, comparisons, votes and left-out counts."""
    return _assert_same


@pytest.fixture(scope="session")
def assert_sound() -> Callable[[Preferences], None]:
    """Raises unless a Preferences keeps the promises of its docstring."""
    return _assert_sound


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark of two threads on this machine; its tests are skipped where pyspark or Java is missing."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (extra spark)")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark runs on Java, and there is none")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark")),
    }
    builder = sql.SparkSession.builder.master("local[2]").appName("tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of the fork by which Java is started
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def rows_fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows left a lazy engine, one entry for each time that some did."""
    seen: list[int] = []
    collect = nw.LazyFrame.collect

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        result = collect(self, *args, **options)
        seen.append(len(result))
        return result

    monkeypatch.setattr(nw.LazyFrame, "collect", counted)
    return seen
