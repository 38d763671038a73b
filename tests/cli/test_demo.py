"""The arena of the demo, simulated files, and how a fit is compared with the truth."""

import csv
import io
import json
import os

import numpy as np
import pytest
from rich.console import Console

import emjax
from emjax.cli import arena as demo
from emjax.errors import OutputError


@pytest.fixture(scope="module")
def simulation():
    return emjax.simulate(
        0,
        n_users=80,
        votes_per_user=15,
        prior=emjax.TwoPoint(0.1, 0.9, 0.7),
        strengths=demo.normal_strengths(1, 4),
    )


@pytest.fixture(scope="module")
def fit(simulation):
    return emjax.fit_em(simulation.preferences, emjax.TwoPoint())


def test_the_arena_is_what_the_help_says():
    simulation = demo.arena(0, 3000)
    assert len(simulation.models) == 20 and len(set(simulation.models)) == 20
    assert np.mean(simulation.attentiveness == 0) == pytest.approx(1 / 3, abs=0.03)
    assert len(simulation.user) / 3000 == pytest.approx(25, rel=0.02)
    again, other = demo.arena(0, 3000), demo.arena(1, 3000)
    assert np.array_equal(simulation.a_won, again.a_won)
    assert not np.array_equal(simulation.strengths, other.strengths)


def test_names_of_models_sort_as_their_numbers():
    names = list(demo.normal_strengths(0, 12))
    assert names == sorted(names) and names[0] == "model 01"


@pytest.mark.parametrize("name", ["votes.csv", "votes.parquet"])
def test_votes_and_truth_are_written_and_read_back(simulation, tmp_path, name: str):
    truth = demo.write_simulation(simulation, tmp_path / "below" / name)
    assert sorted(os.listdir(tmp_path / "below")) == sorted(["votes.truth.json", name])
    again = emjax.read_votes(tmp_path / "below" / name)
    assert np.array_equal(again.counts, simulation.preferences.counts)
    content = json.loads(truth.read_text())
    assert content == demo.truth_of(simulation)
    assert content["attentiveness_by_user"]["5"] == simulation.attentiveness[5]
    assert sum(content["strengths"].values()) == pytest.approx(0)


def test_csv_quotes_what_needs_it(simulation, tmp_path):
    demo.write_simulation(simulation, tmp_path / "votes.csv")
    with (tmp_path / "votes.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["user", "model_a", "model_b", "winner"]
    assert len(rows) == 1 + len(simulation.user)


@pytest.mark.parametrize("name", ["votes.csv", "votes.parquet"])
@pytest.mark.parametrize("failing", ["_write_votes", "truth_of"])
def test_a_full_disk_leaves_neither_file(simulation, tmp_path, monkeypatch, name: str, failing: str):
    before = {"votes.csv": "old", "votes.parquet": "old", "votes.truth.json": "old"}
    for old, text in before.items():
        (tmp_path / old).write_text(text)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, failing, full)
    with pytest.raises(OutputError, match=rf"{name} cannot be written \(No space left on device\)"):
        demo.write_simulation(simulation, tmp_path / name)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_files_that_are_there_are_kept(tmp_path):
    demo.check_file(tmp_path / "new" / "votes.csv")
    with pytest.raises(OutputError, match=r"should end in \.parquet or \.csv"):
        demo.check_file(tmp_path / "votes.json")
    (tmp_path / "votes.truth.json").touch()
    with pytest.raises(OutputError, match=r"votes\.truth\.json is there already"):
        demo.check_file(tmp_path / "votes.csv")
    demo.check_file(tmp_path / "votes.csv", overwrite=True)
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        demo.check_file(tmp_path / "a.csv", overwrite=True)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        demo.check_file(tmp_path / "votes.truth.json" / "votes.csv")


def test_the_comparison_with_the_truth_fits_80_columns(fit, simulation):
    console = Console(width=80, record=True, file=io.StringIO())
    tables = demo.compare(fit, simulation)
    for table in tables:
        console.print(table)
    said = console.export_text()
    assert max(map(len, said.splitlines())) <= 80
    assert "…" not in said
    assert len(tables[0].rows) == 4
    assert [column.header for column in tables[2].columns] == ["", "emjax", "unadjusted", "ideal"]
    for row in (
        "slope on true strengths",
        "truth within 95 % intervals",
        "correlation with true attentiveness",
    ):
        assert any(line.strip().startswith(row) for line in said.splitlines())
    shares = list(tables[1].columns[1].cells)
    assert sum(int(str(count)) for count in shares) == 80


def test_users_all_alike_are_no_reason_to_warn(simulation):
    prior = emjax.Fixed(emjax.Points(1, points=[0.8], weights=[1.0]))
    fit = emjax.fit_em(simulation.preferences, prior)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(demo.compare(fit, simulation)[2])
    assert "nan" not in console.export_text()
