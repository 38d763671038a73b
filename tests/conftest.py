"""What holds in every test: shapes and types are checked, JAX promotes nothing, settings stay put."""

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

# One folder of compiled programs for all processes of a run, made by its first. JAX reads its variables when
# it is imported.
OWN_CACHE = None if "JAX_COMPILATION_CACHE_DIR" in os.environ else tempfile.mkdtemp(prefix="emjax-tests-")
if OWN_CACHE is not None:
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": OWN_CACHE,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }

import jax
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

os.environ.setdefault("MPLBACKEND", "Agg")  # no test needs a screen

# Annotations such as Float[Array, "users nodes"] are checked on every call, in the tests alone. The hook sees
# modules imported after it, so nothing may have imported emjax before this file.
assert "emjax" not in sys.modules, "emjax was imported before its annotations could be checked"
install_import_hook("emjax", "runtime_types.checked")

ROOT = Path(__file__).resolve().parent.parent
MAPPED = Path("/proc/self/maps")
ENDED = pytest.StashKey[int]()

# The same examples on every run, so that a failure in one place is a failure in all.
# HYPOTHESIS_PROFILE=search looks for new ones, many of them.
settings.register_profile("ci", derandomize=True, max_examples=40, deadline=None, database=None)
settings.register_profile(
    "search", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@atexit.register
def leave_quietly() -> None:
    """Send to nowhere what libraries write while the interpreter closes down, after the last result is out.

    beartype remembers types for good, and DuckDB lists at length each type of its own that is remembered.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if OWN_CACHE is not None:
        shutil.rmtree(OWN_CACHE, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Have JAX raise where it would widen a type or a rank on its own; doctests are held to it too."""
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `long` what is left of a full product once a covering array has been taken from it.

    Tests of whole fits that run over two tables (priors and strengths, say) keep, without `long`, as many
    combinations as the longer table has rows: each row of either table occurs. The same combinations stay in
    all tests, which then share traced programs. Kernels and derivatives, which are cheap, stay in full.
    """
    products: dict[tuple[str, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if axes_of(item):
            products[(item.path.name, item.originalname)].append(item)  # type: ignore[attr-defined]
    for members in products.values():
        rows = [dict.fromkeys(ids_of(item)[axis] for item in members) for axis in (0, 1)]
        place = [{row: i for i, row in enumerate(axis)} for axis in rows]
        fewer = min(map(len, rows))
        for item in members:
            first, second = (place[axis][ids_of(item)[axis]] for axis in (0, 1))
            if (first - second) % fewer:
                item.add_marker(pytest.mark.long)


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collector need not look at it again, seconds each time."""
    gc.collect()
    gc.freeze()


def axes_of(item: pytest.Item) -> tuple[str, ...]:
    """The two parameters of a test of whole fits whose combinations are thinned, if it is one."""
    marker = item.get_closest_marker("covering")
    if marker is not None:
        return marker.args
    fitted = {"fit_of", "quiet"} & set(getattr(item, "fixturenames", ()))
    given = item.callspec.params if hasattr(item, "callspec") else {}
    return ("prior", "strength") if fitted and {"prior", "strength"} <= set(given) else ()


def ids_of(item: pytest.Item) -> list[str]:
    """How the two parameters of a test are spelled."""
    return [repr(item.callspec.params[name]) for name in axes_of(item)]  # type: ignore[attr-defined]


def jax_settings() -> dict[str, object]:
    """Read the settings that a caller of this package would mind to find changed."""
    names = ("jax_enable_x64", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion", "jax_debug_nans")
    return {name: getattr(jax.config, name) for name in names}


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Let go of compiled code before there is too much of it for one process.

    Each piece is mapped into memory on its own, Linux allows 65,530 such mappings by default, and XLA does
    not survive the next one.
    """
    ended = item.config.stash[ENDED] = item.config.stash.get(ENDED, 0) + 1
    if ended % 20 == 0 and MAPPED.exists() and MAPPED.read_bytes().count(b"\n") > 25_000:
        jax.clear_caches()


@pytest.fixture(autouse=True)
def settings_stay_put():
    """Whatever a test calls leaves JAX's settings as it found them."""
    before = jax_settings()
    yield
    assert jax_settings() == before, "a JAX setting was left changed"


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def real_votes() -> Path:
    """The folder of the crowd's votes (llmfao), which lies beside the repository where it is there at all."""
    folder = ROOT.parent / "shared" / "data" / "llmfao"
    if not (folder / "crowd-comparisons.csv").is_file():
        pytest.skip("the crowd's votes (shared/data/llmfao) are not beside this checkout")
    return folder
