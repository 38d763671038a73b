"""What holds in every test: shapes and types are checked, JAX promotes nothing, settings stay put."""

import atexit
import os
import sys
from pathlib import Path

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


def pytest_configure(config: pytest.Config) -> None:
    """Have JAX raise where it would widen a type or a rank on its own; doctests are held to it too."""
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")


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
