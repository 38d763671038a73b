"""The real command, as a person at a terminal runs it: what it writes, says and refuses."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from command_line import EMJAX, emjax_cli, environment

HEADER = "user,model_a,model_b,winner\n"
Run = Callable[..., subprocess.CompletedProcess[str]]
USERS = {
    "user": pa.int64(), "n_votes": pa.float64(), "attentiveness": pa.float64(),
    "attentiveness_sd": pa.float64(), "attentiveness_map": pa.float64(), "prob_attentive": pa.float64(),
    "flip_rate": pa.float64(), "agreement": pa.float64(),
}  # fmt: skip
COMPARISONS = {
    "model_a": pa.string(), "model_b": pa.string(), "strength": pa.float64(), "std_err": pa.float64(),
    "n_votes": pa.float64(), "wins_a": pa.float64(),
}  # fmt: skip
LEADERBOARD = {
    "model": pa.string(), "strength": pa.float64(), "std_err": pa.float64(), "lower": pa.float64(),
    "upper": pa.float64(), "n_votes": pa.float64(), "rank": pa.int64(),
    "best_rank": pa.float64(), "worst_rank": pa.float64(), "ordinary_strength": pa.float64(),
    "component": pa.int64(),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The folder in which the commands of this file run."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def emjax(place) -> Run:
    """Run a command in that folder; it must succeed."""
    return partial(emjax_cli, cwd=place)


@pytest.fixture(scope="module")
def two(emjax, place) -> Path:
    """Votes on two models, as csv."""
    emjax("simulate", "--users", 120, "--votes-per-user", 12, "--prior", "beta:0.5,0.7", "--out", "two.csv")
    return place / "two.csv"


@pytest.fixture(scope="module")
def many(emjax, place) -> Path:
    """Votes on five models, as parquet."""
    emjax(
        "simulate", "--users", 150, "--models", 5, "--prior", "two-point:0,0.9,0.7", "--out", "many.parquet"
    )
    return place / "many.parquet"


@pytest.fixture(scope="module")
def fits(emjax, place, two, many) -> Callable[..., Path]:
    """The folder of a fit with some options, fitted once; what it said is in said.txt beside it."""
    made: dict[tuple[str, ...], Path] = {}

    def fit(*words: str) -> Path:
        if words not in made:
            made[words] = place / f"{len(made)}" / "fit"
            done = emjax("fit", *words, "--out", made[words])
            assert done.stderr == ""
            made[words].with_name("said.txt").write_text(done.stdout)
        return made[words]

    return fit


def table(folder: Path, name: str, columns: dict[str, pa.DataType], nullable: tuple[str, ...]) -> pa.Table:
    """A table of a fit with the columns it should have: finite numbers, and null only where it may be."""
    found = pq.read_table(folder / f"{name}.parquet")
    assert dict(zip(found.schema.names, found.schema.types, strict=True)) == columns
    for column in found.schema.names:
        assert column in nullable or found[column].null_count == 0
        if pa.types.is_floating(columns[column]):
            assert np.isfinite(found[column].drop_null().to_numpy()).all()
    return found


def check_fit_json(folder: Path) -> dict:
    """fit.json as docs/files.md describes it, read with nothing of emjax."""
    fit = json.loads((folder / "fit.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    number = (int, float)
    kinds: dict[str, type | tuple[type, ...]] = {
        "format": str, "version": int, "emjax": str, "prior": dict, "strength": dict, "behavior": dict,
        "log_likelihood": number, "trace": list, "em_steps": int, "newton_steps": int, "converged": bool,
        "outcome": str, "message": str, "gap": number, "tol": number, "parameters": list,
        "identifiability": dict, "attentiveness": dict, "data": dict, "prior_users": (str, type(None)),
    }  # fmt: skip
    assert set(kinds) == set(fit)
    assert [name for name, kind in kinds.items() if not isinstance(fit[name], kind)] == []
    assert (fit["format"], fit["version"]) == ("emjax-fit", 2)
    for entry in fit["parameters"]:
        assert set(entry) == {"name", "estimate", "std_err", "lower", "upper", "note"}
        assert isinstance(entry["estimate"], number)
        assert all(entry[name] is None or isinstance(entry[name], number) for name in ("lower", "std_err"))
    findings = fit["identifiability"]["findings"]
    assert all({"level", "what", "remedy"} <= set(f) and f["level"] in ("note", "warning") for f in findings)
    spread = fit["attentiveness"]
    assert set(spread) == {"nodes", "weights", "density", "mean", "sd"}
    assert len(spread["nodes"]) == len(spread["weights"])
    assert sum(spread["weights"]) == pytest.approx(1.0)
    counted = {"n_users", "n_votes", "n_comparisons", "n_models", "left_out", "source"}
    counted |= {"n_votes_known_besides", "gold_accuracy"}
    assert set(fit["data"]) - {"read_with"} == counted  # which only `emjax fit` writes
    return fit


# --------------------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize("command", ["", "fit", "demo", "simulate", "report"])
def test_help_shows_an_example_within_80_columns(emjax, command: str):
    said = emjax(*command.split(), "--help").stdout
    assert f"Example: emjax {command}" in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_version_is_said_by_the_installed_script():
    script = Path(sys.executable).with_name("emjax")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("emjax 0.")


def test_a_fit_says_what_a_reader_wants_first(fits):
    folder = fits("two.csv", "--strength", "known:0.74")
    said = folder.with_name("said.txt").read_text()
    for words in (
        "120 users",
        "A against B",
        "mean attentiveness",
        "Converged",
        f"open {folder}/report.html",
    ):
        assert words in said


def test_a_terminal_sees_progress(fits):
    ours, theirs = pty.openpty()
    folder = fits("two.csv", "--strength", "known:0.74")
    with subprocess.Popen(
        [*EMJAX, "report", folder], stdout=theirs, stderr=theirs, env=environment()
    ) as process:
        os.close(theirs)
        seen = b"".join(_until_closed(ours))
    os.close(ours)
    assert process.returncode == 0
    assert b"writing" in seen and b"0:00:00" in seen and b"Written: " in seen


def _until_closed(handle: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(handle, 4096)
        except OSError:  # how Linux says that the other end is closed
            return
        if not part:
            return
        yield part


# ------------------------------------------------------------------------------------------ what is written


def test_tables_of_a_known_strength(fits):
    folder = fits("two.csv", "--strength", "known:0.74")
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparisons.parquet", "curvature.npz", "fit.json", "history.parquet", "report.html", "users.parquet",
    ]  # fmt: skip
    fit = check_fit_json(folder)
    users = table(folder, "users", USERS, ())
    assert users.num_rows == fit["data"]["n_users"] <= 120
    assert np.sum(users["n_votes"].to_numpy()) == fit["data"]["n_votes"]
    for column in ("attentiveness", "attentiveness_map", "prob_attentive", "agreement"):
        assert 0 <= users[column].to_numpy().min() <= users[column].to_numpy().max() <= 1
    comparisons = table(folder, "comparisons", COMPARISONS, ("std_err",)).to_pylist()
    assert [(row["model_a"], row["strength"], row["std_err"]) for row in comparisons] == [("A", 0.74, None)]


def test_tables_of_bradley_terry(fits, place):
    folder = fits("many.parquet")
    fit = check_fit_json(folder)
    assert fit["strength"]["type"] == "BradleyTerry" and fit["prior"]["type"] == "Grid"
    table(folder, "users", USERS, ())
    assert table(folder, "comparisons", COMPARISONS, ()).num_rows == fit["data"]["n_comparisons"] == 10
    board = table(folder, "leaderboard", LEADERBOARD, ())
    assert board["rank"].to_pylist() == [1, 2, 3, 4, 5]
    assert np.sum(board["n_votes"].to_numpy()) == 2 * fit["data"]["n_votes"]
    truth = json.loads((place / "many.truth.json").read_text())["strengths"]
    assert board["model"].to_pylist()[0] == max(truth, key=lambda name: truth[name])
    true = np.array([truth[name] for name in board["model"].to_pylist()])
    assert np.corrcoef(board["strength"].to_numpy(), true)[0, 1] > 0.9


def test_a_mode_that_says_nothing_is_null(fits):
    folder = fits("two.csv", "--prior", "beta", "--strength", "known:0.74")
    prior = check_fit_json(folder)["prior"]
    assert min(prior["a"], prior["b"]) < 1
    users = table(folder, "users", USERS, ("attentiveness_map",))
    assert users["attentiveness_map"].null_count == users.num_rows


@pytest.mark.parametrize(
    ("words", "prior", "strength"),
    [
        (("two.csv", "--prior", "grid:32", "--strength", "known:0.74"), "Grid", "Known"),
        (("many.parquet", "--prior", "points:3", "--strength", "per-pair"), "Points", "PerPair"),
        (("many.parquet", "--prior", "beta", "--strength", "bradley-terry"), "Beta", "BradleyTerry"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_options_choose_prior_and_strength(fits, words, prior: str, strength: str):
    folder = fits(*words)
    fit = check_fit_json(folder)
    assert (fit["prior"]["type"], fit["strength"]["type"]) == (prior, strength)
    assert (folder / "leaderboard.parquet").exists() == (strength == "BradleyTerry")
    assert fit["prior"].get("k", 3) == 3
    assert len(fit["prior"].get("points", [0] * 32)) == {"Points": 3}.get(prior, 32)
    table(folder, "comparisons", COMPARISONS, ("std_err",))


def as_parquet(votes: pa.Table, place: Path) -> list[str]:
    pq.write_table(votes, place / "same.parquet")
    return ["same.parquet"]


def as_jsonl(votes: pa.Table, place: Path) -> list[str]:
    lines = [json.dumps(row) + "\n" for row in votes.to_pylist()]
    (place / "same.jsonl").write_text("".join(lines))
    return ["same.jsonl"]


def as_glob(votes: pa.Table, place: Path) -> list[str]:
    for number, part in enumerate((votes.slice(0, 500), votes.slice(500))):
        pyarrow.csv.write_csv(part, place / f"part-{number}.csv")
    return ["part-*.csv"]


def as_own_names(votes: pa.Table, place: Path) -> list[str]:
    """Columns of other names, the winner by its name, and in a second file seven ties, which are left out."""
    said = [row[row["winner"]] for row in votes.to_pylist()]
    own = votes.set_column(3, "winner", pa.array(said)).rename_columns(["who", "one", "other", "said"])
    pyarrow.csv.write_csv(own, place / "own.csv")
    (place / "ties.csv").write_text("one,other,said,who\n" + "A,B,tie,0\n" * 7)
    names = ["--user", "who", "--model-a", "one", "--model-b", "other", "--winner", "said"]
    return ["own.csv", "ties.csv", *names]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(as_parquet, marks=pytest.mark.long),
        pytest.param(as_jsonl, marks=pytest.mark.long),
        as_glob,
        as_own_names,
    ],
)
def test_the_same_votes_give_the_same_fit_in_every_form(emjax, fits, place, two, form):
    words, out = form(pyarrow.csv.read_csv(two), place), place / form.__name__
    emjax("fit", *words, "--strength", "known:0.74", "--out", out)
    from_csv = fits("two.csv", "--strength", "known:0.74")
    first, again = (json.loads((folder / "fit.json").read_text()) for folder in (from_csv, out))
    assert again["data"].pop("left_out") == ({"ties dropped": 7} if form is as_own_names else {})
    assert first["data"].pop("left_out") == {}
    assert first["data"].pop("read_with") == {}
    named = {"user": "who", "model_a": "one", "model_b": "other", "winner": "said"}
    assert again["data"].pop("read_with") == (named if form is as_own_names else {})
    assert first == again
    assert pq.read_table(out / "users.parquet").equals(pq.read_table(from_csv / "users.parquet"))


def test_ties_count_half(emjax, place):
    rows = [f"u{i},A,B,{winner}\n" for i in range(8) for winner in ("A", "A", "A", "tie", "B")]
    (place / "half.csv").write_text(HEADER + "".join(rows))
    words = ("--ties", "half", "--prior", "two-point", "--strength", "shared")
    emjax("fit", "half.csv", *words, "--out", "half")
    fit = check_fit_json(place / "half")
    assert (fit["prior"]["type"], fit["strength"]["type"]) == ("TwoPoint", "Shared")
    assert fit["data"]["n_votes"] == 40
    assert pq.read_table(place / "half" / "comparisons.parquet")["wins_a"].to_pylist() == [28.0]
    assert pq.read_table(place / "half" / "users.parquet")["user"].type == pa.string()


def test_the_page_comes_from_the_folder_alone(emjax, fits, place):
    folder = fits("many.parquet")
    moved = shutil.copytree(folder, place / "moved")
    (moved / "report.html").unlink()
    said = emjax("report", moved).stdout
    assert said == f"Written: {moved / 'report.html'}\n"
    assert (moved / "report.html").read_bytes() == (folder / "report.html").read_bytes()


def test_a_fit_saved_from_python_has_no_page_and_the_command_says_so(emjax, fits, place):
    saved = place / "saved"
    saved.mkdir()
    for name in ("fit.json", "curvature.npz"):
        shutil.copy(fits("many.parquet") / name, saved)
    said = emjax("report", saved, code=1).stderr
    assert said.count("\n") == 1 and "holds a fit as fit.save writes it, without the tables" in said
    assert "emjax.report.write_output(fit, prefs, DIR)" in said


def test_the_page_shows_the_leaderboard_on_a_scale(emjax, fits, place):
    folder = shutil.copytree(fits("many.parquet"), place / "in elo")
    emjax("report", folder, "--scale", "elo")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Elo points of mean 1000" in page and "in log-odds: an attentive user" not in page
    assert ">Elo points</th>" in page.replace("\n", "")
    assert "--scale glicko is not understood" in emjax("report", folder, "--scale", "glicko", code=1).stderr


def test_simulations_repeat_with_their_seed(emjax, place, two):
    same = ("simulate", "--users", 120, "--votes-per-user", 12, "--prior", "beta:0.5,0.7")
    emjax(*same, "--out", "again.csv")
    assert (place / "again.csv").read_bytes() == two.read_bytes()
    assert (place / "again.truth.json").read_bytes() == (place / "two.truth.json").read_bytes()
    emjax(*same, "--seed", 1, "--out", "new folder/other.parquet")
    other = pq.read_table(place / "new folder" / "other.parquet")
    assert other.schema.names == HEADER.strip().split(",")
    assert not other.equals(pyarrow.csv.read_csv(two))


def test_the_demo_recovers_its_truth_within_80_columns(emjax, place):
    said = emjax("demo", "--users", 300, "--out", "demo").stdout
    assert max(map(len, said.splitlines())) <= 80
    for words in ("Leaderboard", "Attentiveness of the users", "Recovered against true"):
        assert words in said
    assert "nan" not in said
    assert {"truth.json", "leaderboard.parquet", "report.html"} <= {
        p.name for p in (place / "demo").iterdir()
    }
    check_fit_json(place / "demo")
