"""What cannot be sampled is refused in one line, before any computation."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import emjax
from emjax import ModelError
from emjax.model.design import known_design
from emjax.model.parameters import SHARE, Parameter
from emjax.model.strength import Strength

ROOT = Path(__file__).resolve().parent.parent.parent
KNOWN = emjax.Known(0.9)


@pytest.fixture(autouse=True)
def no_sampling(monkeypatch):
    """Nothing is fitted or sampled on the way to an error."""

    def never(*args, **options):
        raise AssertionError("sampled")

    monkeypatch.setattr("emjax.bayes.sample._summed_out", never)
    monkeypatch.setattr("emjax.bayes.sample._one_per_user", never)


def refused(prefs, prior=None, **options):
    with pytest.raises(ModelError) as message:
        emjax.fit_bayes(
            prefs, emjax.Beta() if prior is None else prior, **({"strength": KNOWN, "key": 0} | options)
        )
    assert "\n" not in str(message.value)
    return str(message.value)


@pytest.mark.parametrize("name", ["num_warmup", "num_samples", "num_chains"])
@pytest.mark.parametrize("wrong", [0, -3, True])
def test_wrong_sizes_are_refused(name, wrong, prefs):
    assert refused(prefs, **{name: wrong}) == f"fit_bayes needs a whole number {name} >= 1; got {wrong!r}."


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, 80.0, float("nan"), True])
def test_wrong_acceptance_probabilities_are_refused(wrong, prefs):
    expected = "fit_bayes needs a target_accept between 0 and 1, such as 0.8 or 0.95"
    assert refused(prefs, target_accept=wrong) == f"{expected}; got {wrong!r}."


@pytest.mark.parametrize("wrong", [None, "x", -1, 0.5, True, np.zeros(2)], ids=repr)
def test_wrong_keys_are_refused(wrong, prefs):
    assert "fit_bayes takes as key a seed" in refused(prefs, key=wrong)


def test_a_model_without_unknowns_is_refused(prefs):
    assert refused(prefs, emjax.Fixed(emjax.Beta())).startswith("Nothing is unknown here")


def test_users_one_by_one_need_a_beta(prefs):
    assert refused(prefs, emjax.TwoPoint(), collapsed=False).endswith("got a TwoPoint.")


class PerItem(Strength):
    """A strength without a hyperprior."""

    def start(self, prefs):
        return self

    def index(self, prefs):
        return np.zeros((1, 2), np.int64)

    def design(self, index):
        return known_design(np.ones(1))

    def maximise(self, votes, nodes, index, behavior):
        return self


class Odd(emjax.Attentiveness):
    """A prior without a hyperprior."""

    share = 0.5
    parameters = (Parameter("share", "share", SHARE),)

    def nodes(self):
        raise AssertionError("called")

    def log_weights(self):
        raise AssertionError("called")

    def maximise(self, mass, votes, logits, behavior):
        return self


def test_models_without_a_hyperprior_are_refused(prefs):
    message = refused(prefs, strength=PerItem())
    assert "cannot be done exactly under PerItem strengths" in message and "fit_em" in message
    message = refused(prefs, Odd())
    assert message.startswith(
        "fit_bayes has no hyperprior for Odd: give its parameters one, as in Parameter("
    )
    assert message.endswith("or emjax.register(Odd, sites=...); or use fit_em.")


def test_strengths_that_do_not_fit_the_votes():
    labels = emjax.Preferences.from_counts([[3, 1]], [[4, 2]])
    assert "BradleyTerry needs comparisons of two named models" in refused(
        labels, strength=emjax.BradleyTerry()
    )


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_arguments_of_wrong_types_are_refused():
    """In an interpreter that does not check annotations: each gets one line, too."""
    wrong = [
        "emjax.Hyperpriors(gaps='much')",
        "emjax.Hyperpriors(spread=(1, 2))",
        "emjax.Hyperpriors(grid=None)",
        "emjax.fit_bayes(p, emjax.Beta(), strength=k, key=0, num_samples=2.0)",
        "emjax.fit_bayes(p, emjax.Beta(), strength=k, key=0, num_chains='4')",
        "emjax.fit_bayes(p, emjax.Beta(), strength=k, key=0, num_warmup=None)",
        "emjax.fit_bayes(p, emjax.Beta(), strength=k, key=0, hyperpriors={'gaps': 1})",
        "emjax.fit_bayes(p, emjax.Beta(), strength=k, key=0, target_accept='high')",
        "emjax.fit_bayes(p, emjax.Beta(), strength=k, key=0, target_accept=None)",
        "emjax.fit_bayes([1, 2], emjax.Beta(), strength=k, key=0)",
        "emjax.fit_bayes(p, 'Beta', strength=k, key=0)",
        "emjax.fit_bayes(p, emjax.Beta(), strength=0.9, key=0)",
        "emjax.compare({}, p)",
        "emjax.compare({'a': 1}, p)",
    ]
    done = run(
        "import emjax\n"
        "p, k = emjax.Preferences.from_counts([3, 1], [4, 4]), emjax.Known(0.9)\n"
        f"for wrong in {wrong!r}:\n"
        "    try:\n"
        "        eval(wrong)\n"
        "    except emjax.ModelError as error:\n"
        "        print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(wrong), done.stdout
    expected = ["gaps=", "spread=", "grid=", "num_samples", "num_chains", "num_warmup", "hyperpriors"]
    expected += ["target_accept", "target_accept"]
    expected += ["votes", "a prior", "a strength", "got none", "'a' is a int"]
    for line, part in zip(lines, expected, strict=True):
        assert part in line, line


def test_a_missing_package_gives_the_install_command():
    packages = ["numpyro", "arviz_base", "arviz_stats"]
    done = run(
        "import sys, emjax\n"
        "p = emjax.Preferences.from_counts([3, 1], [4, 4])\n"
        f"for package in {packages!r}:\n"
        "    there = sys.modules.pop(package, None)\n"
        "    sys.modules[package] = None\n"
        "    try:\n"
        "        emjax.fit_bayes(p, emjax.Beta(), strength=emjax.Known(0.9), key=0)\n"
        "    except emjax.MissingExtra as error:\n"
        "        print(error)\n"
        "    del sys.modules[package]\n"
        "    if there is not None:\n"
        "        sys.modules[package] = there\n"
    )
    assert done.returncode == 0, done.stderr
    lines = [
        f'fit_bayes needs {package.replace("_", "-")}, which is not installed: pip install "emjax[bayes]"'
        for package in packages
    ]
    assert done.stdout.splitlines() == lines


def test_jax_settings_are_restored_after_an_error(prefs, monkeypatch):
    before = jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion
    with pytest.raises(AssertionError, match="sampled"):
        emjax.fit_bayes(prefs, emjax.TwoPoint(), strength=KNOWN, key=0)
    assert (jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion) == before
