"""Without the extra, what needs it says how to install it, and the rest works."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = ("torch", "transformers", "trl", "datasets")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_torch_and_trl_are_imported_only_when_needed():
    done = python(
        "import sys, emjax.train\n"
        "from emjax.train import AttentiveLoss, UnbiasedLoss, reliability, simulate_votes, LanguageModel\n"
        "AttentiveLoss(), LanguageModel('x', None, None)\n"
        "reliability([1.0], ['a'], emjax.Beta(1, 1))\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "package, asked",
    [
        ("trl", "from emjax.train import AttentiveDPOTrainer"),
        ("torch", "from emjax.train import ReliabilityInTheLoop"),
        ("transformers", "emjax.train.LanguageModel('x', None, None).answer(['p'], seed=0)"),
    ],
)
def test_a_missing_package_is_named(package, asked):
    if package != "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'emjax[train]'")
    done = python(
        f"import sys\nsys.modules[{package!r}] = None\n"
        "import emjax.train\n"
        "try:\n"
        f"    {asked}\n"
        "except emjax.MissingExtra as error:\n"
        "    print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    line = f'emjax.train needs {package}, which is not installed: pip install "emjax[train]"'
    assert done.stdout.strip() == line


def test_an_unknown_name_is_an_attribute_error():
    import emjax.train

    assert "AttentiveDPOTrainer" in dir(emjax.train)
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        _ = emjax.train.Trainer
