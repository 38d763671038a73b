"""Records as JSON values and back; files that are whole or not there."""

import json

import numpy as np
import pytest

from emjax import (
    AttentiveOrRandom,
    Beta,
    BradleyTerry,
    Fixed,
    Grid,
    Known,
    OutputError,
    PerPair,
    Points,
    Shared,
    TwoPoint,
)  # fmt: skip
from emjax.infer.output_files import write_whole
from emjax.infer.serialization import describe, from_plain, to_plain

RECORDS = [
    TwoPoint(0.1, 0.7, 1 / 3), Points(3), Beta(3, 0.1), Grid([0.0, 0.3, 1.0]), Fixed(Beta(3, 5)),
    Fixed(Grid(4)),
    Known(0.74), Known({("a", "b"): 0.7, ("c", "b"): 0.2}), Known([0.7, 0.2], ("x", 3)), Shared((2, 8), 0.3),
    PerPair((1, 2), [0.1, 0.9], (("a", "b"), ("b", "c"))), PerPair(),
    BradleyTerry(0.5, [1.0, -1.0], ("a", "b"), [0, 0]), BradleyTerry(), AttentiveOrRandom(),
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=repr)
def test_there_and_back(record):
    plain = json.loads(json.dumps(to_plain(record), allow_nan=False))
    assert plain["type"] == type(record).__name__
    again = from_plain(plain)
    assert repr(again) == repr(record)
    assert to_plain(again) == to_plain(record)


def test_an_unknown_type_in_a_file_is_refused():
    with pytest.raises(OutputError, match="Gamma"):
        from_plain({"type": "Gamma", "shape": 3})


@pytest.mark.parametrize("a, b", [(3, 5), (0.05, 200), (200, 0.3), (1, 1)])
def test_a_density_is_finite_and_that_of_the_prior(a, b):
    from scipy.stats import beta

    said = describe(Beta(a, b))
    json.dumps(said, allow_nan=False)
    eta, density = np.array(said["density"]["eta"]), np.array(said["density"]["density"])
    np.testing.assert_allclose(density, beta.pdf(eta, a, b), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose([said["mean"], said["sd"]], [beta.mean(a, b), beta.std(a, b)], rtol=1e-8)


def test_points_have_no_density():
    said = describe(TwoPoint(0.1, 0.7, 0.25))
    assert said["density"] is None
    np.testing.assert_allclose(said["nodes"], [0.1, 0.7])
    np.testing.assert_allclose(said["weights"], [0.75, 0.25])
    np.testing.assert_allclose(said["mean"], 0.25)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def broken(file):
        file.write(b"half of it")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, broken)
    assert path.read_text() == "old" and [f.name for f in tmp_path.iterdir()] == ["kept.txt"]
    write_whole(path, lambda file: file.write(b"new"))
    assert path.read_text() == "new" and [f.name for f in tmp_path.iterdir()] == ["kept.txt"]
