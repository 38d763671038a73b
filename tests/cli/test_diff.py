"""emjax diff: two folders of fits compared."""

import pyarrow as pa
import pyarrow.csv
import pytest
from command_line import emjax_cli

import emjax


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("diff")
    prior = emjax.Fixed(emjax.Beta(3, 2))
    for seed, name, bee in ((0, "monday", 0.0), (1, "tuesday", 1.2)):
        truth = {"ant": 1.0, "bee": bee, "cat": -1.0, "dog": -0.5}
        sim = emjax.simulate(seed, n_users=200, votes_per_user=30, strengths=truth)
        emjax.fit_em(sim.preferences, prior).save(place / name)
    return place


def test_changes_are_printed_and_written(place):
    done = emjax_cli("diff", "monday", "tuesday", "--csv", "changes.csv", cwd=place)
    first = done.stdout.splitlines()[1].split()
    assert first[0] == "bee" and first[-1] == "changed"
    written = pyarrow.csv.read_csv(place / "changes.csv")
    assert written.column("model").to_pylist()[0] == "bee"
    assert written.schema.field("changed").type == pa.bool_()
    again = emjax_cli("diff", "monday", "tuesday", "--csv", "changes.csv", cwd=place, code=1)
    assert "changes.csv exists already" in again.stderr


def test_a_folder_without_a_fit_is_named(place):
    assert "no-such" in emjax_cli("diff", "monday", "no-such", cwd=place, code=1).stderr
