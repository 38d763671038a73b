"""The output folder: written whole or not at all, where it may be, and never over what is not its own."""

import errno
import json
import os
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emjax
from emjax.errors import OutputError
from emjax.report import output_folder, write_fit_folder
from emjax.report.write_fit_folder import FILES, check_folder, write_output

Fitted = tuple[emjax.Fit, emjax.Preferences]

RARE = {
    "prior_users.parquet",
    "strength.npz",
    "covariates.parquet",
}  # of fits to more than votes


@pytest.fixture(scope="module")
def many() -> Fitted:
    """A small fit with a leaderboard, and its votes."""
    votes = emjax.simulate(0, n_users=60, votes_per_user=12, strengths={"a": 1.0, "b": 0.0, "c": -1.0})
    prefs = votes.preferences
    return emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry()), prefs


@pytest.fixture(scope="module")
def two() -> Fitted:
    """A small fit of two models, which has no leaderboard, nor modes."""
    prefs = emjax.simulate(1, n_users=60, votes_per_user=6, prior=emjax.Beta(0.3, 0.4)).preferences
    return emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(0.3, 0.4)), strength=emjax.Known(0.8)), prefs


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -------------------------------------------------------------------------------------------- what is written


def test_everything_is_written_and_can_be_read(many: Fitted, tmp_path):
    fit, prefs = many
    folder = write_output(fit, prefs, tmp_path / "not" / "there yet")
    assert sorted(os.listdir(folder)) == sorted(set(FILES) - {"truth.json", *RARE})
    assert os.listdir(tmp_path) == ["not"]
    assert emjax.load_fit(folder).log_likelihood == fit.log_likelihood
    assert pq.read_table(folder / "users.parquet")["user"].to_pylist() == prefs.users.tolist()
    assert emjax.__version__ in (folder / "fit.json").read_text()


def test_nan_is_written_as_null(two: Fitted, tmp_path):
    folder = write_output(*two, tmp_path / "fit", truth={"strengths": {}})
    assert not (folder / "leaderboard.parquet").exists()
    assert pq.read_table(folder / "users.parquet")["attentiveness_map"].null_count == two[1].n_users
    assert pq.read_table(folder / "comparisons.parquet")["std_err"].null_count == 1
    assert json.loads((folder / "truth.json").read_text()) == {"strengths": {}}


def test_another_fit_replaces_all_files_of_the_first_and_no_others(many: Fitted, two: Fitted, tmp_path):
    write_output(*many, tmp_path, truth={})
    (tmp_path / "notes.txt").write_text("mine")
    inode = tmp_path.stat().st_ino
    with pytest.raises(OutputError, match=r"holds another fit: give a new folder, or overwrite=True"):
        write_output(*two, tmp_path)
    write_output(*two, tmp_path, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == sorted(
        {*FILES, "notes.txt"} - {"truth.json", "leaderboard.parquet", *RARE}
    )
    assert tmp_path.stat().st_ino == inode  # the folder itself may be a mount or a link


def test_files_can_be_read_by_whoever_may_read_others(two: Fitted, tmp_path):
    (tmp_path / "ordinary").touch()
    usual = (tmp_path / "ordinary").stat().st_mode
    folder = write_output(*two, tmp_path / "fit")
    assert {path.name: path.stat().st_mode for path in folder.iterdir() if path.stat().st_mode != usual} == {}


# --------------------------------------------------------------------------------------------- all or nothing


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write_parquet", "_page", "_move"])
@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_the_folder_as_it_was(
    many: Fitted, two: Fitted, tmp_path, monkeypatch, step: str, there: bool
):
    folder = tmp_path / "below" / "fit"
    if there:
        write_output(*many, folder)
    before = content(tmp_path)
    monkeypatch.setattr(write_fit_folder, step, full)
    with pytest.raises(OutputError, match=r"fit cannot be written \(No space left on device\): give a"):
        write_output(*two, folder, overwrite=there)
    assert content(tmp_path) == before
    assert there or not any(tmp_path.iterdir())


def test_an_error_names_the_final_path_and_not_the_temporary_one(two: Fitted, tmp_path, monkeypatch):
    def refuse(parts, path, nullable=()):
        raise OutputError(f"cannot write {path}: Disk quota exceeded")

    monkeypatch.setattr(write_fit_folder, "write_parquet_parts", refuse)
    named = re.escape(f"cannot write {tmp_path / 'fit' / 'users.parquet'}: Disk quota exceeded")
    with pytest.raises(OutputError, match=f"^{named}$"):
        write_output(*two, tmp_path / "fit")


def test_an_interrupted_write_leaves_no_files(two: Fitted, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(write_fit_folder, "_page", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_output(*two, tmp_path / "fit")
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------------------------------- asked beforehand


def test_a_new_or_empty_folder_is_accepted_and_not_created(tmp_path):
    for folder in (tmp_path, tmp_path / "new", tmp_path / "new" / "newer"):
        assert check_folder(folder) == folder
    assert os.listdir(tmp_path) == []


def test_a_relative_folder_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_folder("fit") == Path("fit")
    assert check_folder(".") == Path()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (set(FILES), r"holds another fit: give a new folder, or overwrite=True to replace it\."),
        (
            {"users.parquet"},
            r"holds a part of another fit: give a new folder, or overwrite=True to replace it\.",
        ),
        ({"notes.txt"}, r"holds other files: give a new folder, or overwrite=True \(they would stay\)\."),
    ],
)
def test_a_folder_with_files_is_refused_without_overwrite(
    many: Fitted, tmp_path, held: set[str], message: str
):
    write_output(*many, tmp_path, truth={"strengths": {}})
    (tmp_path / "notes.txt").write_text("mine")
    for name in {*FILES, "notes.txt"} - held:
        (tmp_path / name).unlink(missing_ok=True)
    before = content(tmp_path)
    with pytest.raises(OutputError, match=message):
        check_folder(tmp_path)
    assert check_folder(tmp_path, overwrite=True) == tmp_path
    assert content(tmp_path) == before


STRANGE = {
    "fit.json": b'{"format": "another"}',
    "curvature.npz": b"",
    "users.parquet": b"PAR1",
    "truth.json": b'{"strengths": {}, "notes": "mine"}',
    "report.html": b"<h1>My report</h1>",
}


@pytest.mark.parametrize("beside", [True, False], ids=["beside a fit", "alone"])
@pytest.mark.parametrize("name", STRANGE)
def test_an_unrelated_file_of_that_name_is_never_replaced(many: Fitted, tmp_path, name: str, beside: bool):
    if beside:
        write_output(*many, tmp_path)
    (tmp_path / name).write_bytes(STRANGE[name])
    before = content(tmp_path)
    message = rf"holds {re.escape(name)}, which no fit wrote, .*: give a new folder, or move it away\."
    for overwrite in (True, False):
        with pytest.raises(OutputError, match=message):
            check_folder(tmp_path, overwrite=overwrite)
    with pytest.raises(OutputError, match=message):
        write_output(*many, tmp_path)
    assert content(tmp_path) == before


def test_unrelated_tables_and_folders_are_recognised_by_content(tmp_path):
    pq.write_table(pa.table({"user": ["ann"], "password": ["?"]}), tmp_path / "users.parquet")
    pq.write_table(pa.table({"model": ["a"], "strength": [1.0]}), tmp_path / "leaderboard.parquet")
    (tmp_path / "report.html").mkdir()
    (tmp_path / "comparisons.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        OutputError, match=r"holds users.*, comparisons.*, leaderboard.*, report\.html, which"
    ):
        check_folder(tmp_path, overwrite=True)


@pytest.mark.parametrize("below", ["", "fit", "fit/fit"])
def test_a_file_given_as_folder_is_refused(tmp_path, below: str):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file is a file, not a folder: give another folder\."):
        check_folder(tmp_path / "file" / below, overwrite=True)


def test_an_unwritable_folder_is_refused_before_the_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(output_folder, "_stage", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\): give a folder"):
        check_folder(tmp_path / "fit")


def test_vote_totals_agree_between_files(many: Fitted, tmp_path):
    folder = write_output(*many, tmp_path / "fit")
    votes = json.loads((folder / "fit.json").read_text())["data"]["n_votes"]
    assert np.sum(pq.read_table(folder / "users.parquet")["n_votes"].to_numpy()) == votes
    assert np.sum(pq.read_table(folder / "comparisons.parquet")["n_votes"].to_numpy()) == votes
    assert np.sum(pq.read_table(folder / "leaderboard.parquet")["n_votes"].to_numpy()) == 2 * votes
