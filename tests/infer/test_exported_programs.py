"""Exported programs: the same answers, traced once for all processes, anew wherever something differs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax.infer import exported_programs
from emjax.infer.exported_programs import Program
from emjax.model.prior_beta import Beta

traced: list[str] = []


class Answer(NamedTuple):
    prior: Any
    total: Any


def scaled(prior: Beta, x: dict[str, Any], power: int = 1) -> Answer:
    traced.append("scaled")
    return Answer(
        prior.at(prior.support(), jnp.asarray(prior.shape()) + 1.0), prior.a * jnp.sum(x["x"] ** power)
    )


def another_process() -> Any:
    """The function as a process takes it that has traced nothing yet."""
    traced.clear()
    return Program(scaled, jax.jit(scaled, static_argnames="power"), {})


def arguments(size: int = 3) -> tuple[Beta, dict[str, Any]]:
    return Beta(2.0, 3.0), {"x": np.arange(float(size))}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EMJAX_EXPORTED_PROGRAMS", str(tmp_path))
    with jax.enable_x64(True):
        yield tmp_path


def agrees(answer: Answer, size: int = 3, power: int = 1) -> None:
    expected = scaled(*arguments(size), power=power)
    assert isinstance(answer.prior, Beta)
    np.testing.assert_allclose(answer.prior.natural(), expected.prior.natural(), rtol=1e-14)
    np.testing.assert_allclose(answer.total, expected.total, rtol=1e-14)


def test_the_next_process_traces_nothing(folder):
    first = another_process()
    agrees(first(*arguments()))
    assert len(list(folder.iterdir())) == 1
    later = another_process()
    answer = later(*arguments()), later(*arguments())
    assert traced == []
    agrees(answer[0])
    agrees(answer[1])


@pytest.mark.parametrize("changed", ["shape", "option", "structure", "precision", "source"])
def test_another_program_where_something_differs(folder, monkeypatch, changed):
    another_process()(*arguments())
    call, (prior, x), options = another_process(), arguments(4 if changed == "shape" else 3), {}
    if changed == "option":
        options = {"power": 2}
    elif changed == "structure":
        x["y"] = np.zeros(())
    elif changed == "source":
        monkeypatch.setattr(exported_programs, "_sources", lambda: "edited")
    with jax.enable_x64(changed != "precision"):
        answer = call(prior, x, **options)
    assert traced
    assert len(list(folder.iterdir())) == 2
    if changed != "precision":
        agrees(answer, **options, size=len(x["x"]))


def test_a_damaged_file_is_replaced(folder):
    another_process()(*arguments())
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    agrees(another_process()(*arguments()))
    later = another_process()
    later(*arguments())
    assert traced == []


def test_a_folder_that_is_not_there_costs_only_time(folder, monkeypatch):
    monkeypatch.setenv("EMJAX_EXPORTED_PROGRAMS", str(folder / "missing"))
    agrees(another_process()(*arguments()))
    assert list(folder.iterdir()) == []


def test_nothing_is_kept_unless_a_folder_is_named(folder, monkeypatch):
    monkeypatch.delenv("EMJAX_EXPORTED_PROGRAMS")
    agrees(another_process()(*arguments()))
    assert list(folder.iterdir()) == []


def test_what_cannot_be_exported_is_computed_all_the_same(folder, monkeypatch):
    def refuse(_):
        def call(*_):
            raise ValueError("no stability is promised for this routine")

        return call

    monkeypatch.setattr(jax.export, "export", refuse)
    agrees(another_process()(*arguments()))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_call_after_tracing_traces_nothing(folder, monkeypatch, kept):
    if not kept:
        monkeypatch.delenv("EMJAX_EXPORTED_PROGRAMS")
    jax.clear_caches()
    call = another_process()
    call.trace(*arguments())
    assert traced
    traced.clear()
    answer = call(*arguments())
    assert traced == []
    agrees(answer)
