"""The cache of compiled programs never costs a command its answer, whatever state its folder is in."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from emjax.cli import compilation_cache

VOTES = "user,model_a,model_b,winner\n" + "".join(
    f"u{u},ant,bee,{'ant' if (u * 7 + v) % 5 else 'bee'}\n" for u in range(12) for v in range(6)
)
FIT = ("fit", "votes.csv", "--prior", "two-point", "--strength", "known:0.74", "--out")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with votes in it."""
    (tmp_path / "votes.csv").write_text(VOTES)
    return tmp_path


def started(place: Path, out: str, cache: str) -> subprocess.Popen:
    """`emjax fit` as a process of its own, in which every warning of others is an error."""
    ours = {"EMJAX_COMPILATION_CACHE": cache, "PYTHONWARNINGS": "error"}
    environment = {name: text for name, text in os.environ.items() if not name.startswith("JAX_")} | ours
    command = [sys.executable, "-m", "emjax", *FIT, out]
    return subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True)


def fitted(place: Path, out: str, cache: str) -> bytes:
    """What a fit wrote of its users, once it has ended well and in silence."""
    process = started(place, out, cache)
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert "cache" not in said
    return (place / out / "users.parquet").read_bytes()


def programs(place: Path, kind: str = "cache") -> list[Path]:
    return sorted((place / "cache").glob(f"*/*-{kind}"))


@pytest.fixture
def own_variables(monkeypatch) -> None:
    """What `use` sets in the environment is gone after the test."""
    for name in (
        "JAX_COMPILATION_CACHE_DIR",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
        "EMJAX_EXPORTED_PROGRAMS",
    ):
        monkeypatch.setenv(name, "")  # or what `use` sets later would not be undone
        monkeypatch.delenv(name)


def test_programs_are_kept_by_version_and_used_again(place):
    first = fitted(place, "one", "cache")
    compiled, traced = programs(place), programs(place, "exported")
    assert compiled and all(f"jaxlib-{version('jaxlib')}" in str(path) for path in compiled)
    assert len(traced) == len(compiled)
    written = [path.stat().st_mtime_ns for path in traced]
    assert fitted(place, "two", "cache") == first
    assert programs(place) == compiled and programs(place, "exported") == traced
    assert [path.stat().st_mtime_ns for path in traced] == written


def test_a_damaged_trace_is_made_anew(place):
    first = fitted(place, "one", "cache")
    traced = {path: path.read_bytes() for path in programs(place, "exported")}
    for path, stored in traced.items():
        path.write_bytes(stored[:-1] + b"?")
    assert fitted(place, "two", "cache") == first
    assert {path: path.read_bytes() for path in programs(place, "exported")} == traced


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty", marks=pytest.mark.long),
        pytest.param(b"no program", id="garbage"),
        pytest.param(None, id="truncated", marks=pytest.mark.long),
    ],
)
def test_damaged_files_are_compiled_anew_and_given_up(place, damage):
    first = fitted(place, "one", "cache")
    for path in programs(place):
        path.write_bytes(path.read_bytes()[:100] if damage is None else damage)
    assert fitted(place, "two", "cache") == first
    assert programs(place) == []


def test_the_cache_can_be_turned_off(place):
    fitted(place, "one", "off")
    assert not (place / "off").exists()


def test_a_folder_that_cannot_be_made_is_done_without(place):
    (place / "cache").write_text("a file, and no folder")
    fitted(place, "one", "cache")
    assert (place / "cache").read_text() == "a file, and no folder"


def test_a_folder_that_cannot_be_written_is_no_error(place):
    """A full disk fails in the same call; a file in each place that would be written stands in for both."""
    first = fitted(place, "one", "cache")
    for path in programs(place, "*"):
        path.unlink()
        path.mkdir()
    assert fitted(place, "two", "cache") == first


def test_two_processes_may_write_at_once(place):
    both = [started(place, name, "cache") for name in ("one", "two")]
    for process in both:
        said = process.communicate(timeout=600)[1]
        assert process.returncode == 0, said
    answers = [(place / name / "users.parquet").read_bytes() for name in ("one", "two")]
    assert answers[0] == answers[1] == fitted(place, "three", "cache")


@pytest.mark.usefixtures("own_variables")
def test_the_oldest_programs_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation_cache, "MOST_BYTES", 25)
    monkeypatch.setenv(compilation_cache.VARIABLE, str(tmp_path))
    earlier = tmp_path / "emjax-0.0.1"
    earlier.mkdir()
    for age in range(4):
        path = earlier / f"{age}-cache"
        path.write_bytes(b"0123456789")
        os.utime(path, (1000.0 - age, 1000.0 - age))
    compilation_cache.use()
    assert [path.name for path in sorted(earlier.iterdir())] == ["0-cache", "1-cache"]


@pytest.mark.usefixtures("own_variables")
def test_a_cache_of_the_users_own_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    monkeypatch.setenv(compilation_cache.VARIABLE, str(tmp_path / "cache"))
    compilation_cache.use()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES" not in os.environ
