"""The simulated arena of `emjax demo`, and how a fit compares with its truth."""

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from emjax.data.amounts import rank_text
from emjax.data.write import write_parquet
from emjax.errors import OutputError
from emjax.infer.fit import Fit
from emjax.infer.leaderboard import leaderboard_columns
from emjax.infer.standard_errors import StandardErrors
from emjax.model.priors_discrete import Points
from emjax.model.simulate import Simulation, simulate
from emjax.report.output_folder import reason

_MODELS = [
    "Amber",
    "Badger",
    "Cobalt",
    "Dahlia",
    "Ember",
    "Falcon",
    "Granite",
    "Heron",
    "Indigo",
    "Juniper",
    "Kestrel",
    "Lupin",
    "Marlin",
    "Nettle",
    "Onyx",
    "Poplar",
    "Quartz",
    "Robin",
    "Saffron",
    "Tundra",
]


def arena(seed: int, n_users: int) -> Simulation:
    """20 models with N(0, 1) strengths; a third of the users click at random, the others judge mostly."""
    users = Points(4, points=[0.0, 0.6, 0.85, 1.0], weights=[1 / 3, 1 / 6, 1 / 4, 1 / 4])
    strengths = dict(zip(_MODELS, normal_strengths(seed, 20).values(), strict=True))
    return simulate(seed, n_users=n_users, votes_per_user=25, prior=users, strengths=strengths, spread=True)


def normal_strengths(seed: int, n_models: int) -> dict[str, float]:
    """Bradley–Terry strengths drawn from N(0, 1), by made-up model name."""
    drawn = np.random.default_rng(seed).normal(size=n_models)
    width = len(str(n_models))
    return {f"model {i + 1:0{width}}": float(s) for i, s in enumerate(drawn)}


def truth_of(simulation: Simulation) -> dict[str, dict[str, float]]:
    """The content of truth.json: attentiveness of the users who voted, and strengths of the models."""
    voted = simulation.preferences.users
    eta = simulation.attentiveness[voted]
    return {
        "attentiveness_by_user": dict(zip(map(str, voted), eta.tolist(), strict=True)),
        "strengths": dict(zip(simulation.models, simulation.strengths.tolist(), strict=True)),
    }


def check_file(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a file for simulated votes that has no known ending, or that is there already.

    Raises
    ------
    OutputError
        Says which, and how to go on.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise OutputError(f"{out} should end in .parquet or .csv.")
    parent = next(path for path in out.absolute().parents if path.exists())
    if not parent.is_dir():
        raise OutputError(f"{parent} is a file, not a folder: give another place.")
    for path in (out, _beside(out)):
        if path.is_dir():
            raise OutputError(f"{path} is a folder: give another name.")
        if path.exists() and not overwrite:
            raise OutputError(f"{path} is there already: give another name, or --overwrite.")


def write_simulation(simulation: Simulation, out: Path) -> Path:
    """Votes as .parquet or .csv, one row each, and the truth as NAME.truth.json beside them: both or neither.

    Raises
    ------
    OutputError
        When something cannot be written.
    """
    truth = _beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".emjax-") as stage:
            votes, answer = Path(stage) / out.name, Path(stage) / truth.name
            _write_votes(simulation.columns(), votes)
            answer.write_text(json.dumps(truth_of(simulation)), encoding="utf-8")
            votes.replace(out)
            answer.replace(truth)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({reason(error)}): give another place.") from None
    return truth


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.stem}.truth.json")


def _write_votes(columns: dict[str, np.ndarray], path: Path) -> None:
    if path.suffix == ".parquet":
        write_parquet(columns, path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def compare(fit: Fit, simulation: Simulation) -> list[Table]:
    """Leaderboard, attentiveness and recovered-against-true figures, for a terminal."""
    prefs = simulation.preferences
    se = fit.standard_errors()
    board = leaderboard_columns(fit.strength, se, prefs.table)
    truth = dict(zip(simulation.models, simulation.strengths, strict=True))
    true = np.array([truth[name] for name in board["model"]])
    estimated, actual = fit.posterior(prefs).mean, simulation.attentiveness[prefs.users]
    return [
        _leaderboard(board, true),
        _distribution(estimated, actual),
        _recovered(board, se, true, estimated, actual),
    ]


def _leaderboard(board: dict[str, np.ndarray], true: np.ndarray) -> Table:
    table = _table("Leaderboard", "rank", "model", "strength", "95 % interval", "unadjusted", "true")
    for i in range(len(true)):
        table.add_row(
            rank_text(board["best_rank"][i], board["worst_rank"][i]) or str(board["rank"][i]),
            str(board["model"][i]),
            f"{board['strength'][i]:.2f}",
            f"{board['lower'][i]:.2f} to {board['upper'][i]:5.2f}",
            f"{board['ordinary_strength'][i]:.2f}",
            f"{true[i]:.2f}",
        )
    return table


def _distribution(estimated: np.ndarray, actual: np.ndarray) -> Table:
    table = _table("Attentiveness of the users (posterior means)", "from", "users", "", "truly there")
    edges = np.linspace(0.0, 1.0, 11)
    seen = np.histogram(estimated, edges)[0]
    there = np.histogram(actual, edges)[0]
    for low, count, truly in zip(edges[:-1], seen, there, strict=True):
        bar = "█" * round(36 * count / max(seen.max(), 1))
        table.add_row(f"{low:.1f}", f"{count:,}", bar, f"{truly:,}")
    return table


def _recovered(
    board: dict[str, np.ndarray],
    se: StandardErrors,
    true: np.ndarray,
    estimated: np.ndarray,
    actual: np.ndarray,
) -> Table:
    table = _table("Recovered against true", "", "emjax", "unadjusted", "ideal")
    own, plain = board["strength"], board["ordinary_strength"]
    absolute = [se[f"strength of {name}"] for name in board["model"]]  # with the error of the common scale
    inside = np.array([e.lower <= value <= e.upper for e, value in zip(absolute, true, strict=True)])
    vary = np.ptp(estimated) > 0 and np.ptp(actual) > 0
    found = f"{np.corrcoef(estimated, actual)[0, 1]:.3f}" if vary else "–"
    table.add_row("slope on true strengths", f"{_slope(true, own):.3f}", f"{_slope(true, plain):.3f}", "1")
    table.add_row("root mean square error", f"{_rms(own - true):.3f}", f"{_rms(plain - true):.3f}", "0")
    table.add_row("truth within 95 % intervals", f"{inside.sum()} of {len(true)}", "", "95 %")
    table.add_row("correlation with true attentiveness", found, "", "1")
    table.add_row("mean attentiveness", f"{estimated.mean():.3f}", "", f"{actual.mean():.3f}")
    table.caption = "Unadjusted: ordinary Bradley–Terry, every vote taken for attentive."
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, justify="left" if name in ("", "model") else "right", no_wrap=True)
    return table


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(x, y, 1)[0])


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))
