"""Every example runs as a user would run it, in an empty folder."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS_VOTES = {"llmfao_to_dpo", "which_prior"}  # these take the folder of the crowd's votes
NEEDS_TRAINING = {"llmfao_to_dpo"}  # and these what the extra `train` installs
NEEDS_BAYES = {"em_vs_bayes", "unknown_mu", "which_prior"}  # and these the extra `bayes`


def notebooks_long(script: Path):
    """The notebooks fit one model after another; what they call has tests of its own."""
    return pytest.param(script, marks=[pytest.mark.long] if script.with_suffix(".ipynb").is_file() else [])


@pytest.mark.parametrize("script", list(map(notebooks_long, EXAMPLES)), ids=lambda script: script.stem)
def test_an_example_runs(script: Path, tmp_path: Path, request: pytest.FixtureRequest):
    if script.stem in NEEDS_TRAINING and importlib.util.find_spec("trl") is None:
        pytest.skip("TRL is not installed: pip install 'emjax[train]'")
    if script.stem in NEEDS_BAYES and importlib.util.find_spec("numpyro") is None:
        pytest.skip("NumPyro is not installed: pip install 'emjax[bayes]'")
    given = [str(request.getfixturevalue("real_votes"))] if script.stem in NEEDS_VOTES else []
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *given],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "EMJAX_EXAMPLES": "small"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
