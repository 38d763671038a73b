"""The simulated arena of `emjax demo`, and how a fit compares with its truth."""

import csv
import json
from pathlib import Path

import numpy as np
from rich.table import Table

from emjax.errors import OutputError
from emjax.infer.fit import Fit
from emjax.infer.tables import leaderboard_columns
from emjax.model.discrete import Points
from emjax.model.simulate import Simulation, simulate
from emjax.votes.frames import write_parquet

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


def write_simulation(simulation: Simulation, out: Path) -> Path:
    """Votes as .parquet or .csv, one row each, and the truth as NAME.truth.json beside them."""
    truth = out.with_name(f"{out.stem}.truth.json")
    content = {
        "attentiveness_by_user": {str(i): float(x) for i, x in enumerate(simulation.attentiveness)},
        "strengths": dict(zip(simulation.models, simulation.strengths.tolist(), strict=True)),
    }
    try:
        if out.suffix == ".parquet":
            write_parquet(simulation.columns(), out)
        else:
            part = out.with_name(f".{out.name}.part")
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(simulation.columns())
                writer.writerows(zip(*simulation.columns().values(), strict=True))
            part.replace(out)
        truth.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}.") from None
    return truth


def compare(fit: Fit, simulation: Simulation) -> list[Table]:
    """Leaderboard, attentiveness and recovered-against-true figures, for a terminal."""
    prefs = simulation.preferences
    board = leaderboard_columns(fit, prefs)
    truth = dict(zip(simulation.models, simulation.strengths, strict=True))
    true = np.array([truth[name] for name in board["model"]])
    estimated, actual = fit.posterior(prefs).mean, simulation.attentiveness[prefs.users]
    return [
        _leaderboard(board, true),
        _distribution(estimated, actual),
        _recovered(board, true, estimated, actual),
    ]


def _leaderboard(board: dict[str, np.ndarray], true: np.ndarray) -> Table:
    table = Table(title="Leaderboard", title_justify="left")
    for name in ("rank", "model", "strength", "95 % interval", "ordinary", "true"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for i in range(len(true)):
        table.add_row(
            str(board["rank"][i]),
            str(board["model"][i]),
            f"{board['strength'][i]:.2f}",
            f"{board['lower'][i]:.2f} to {board['upper'][i]:.2f}",
            f"{board['ordinary_strength'][i]:.2f}",
            f"{true[i]:.2f}",
        )
    return table


def _distribution(estimated: np.ndarray, actual: np.ndarray) -> Table:
    table = Table(title="Attentiveness of the users (posterior means)", title_justify="left")
    for name in ("from", "users", "", "truly there"):
        table.add_column(name, justify="left" if not name else "right")
    edges = np.linspace(0.0, 1.0, 11)
    seen = np.histogram(estimated, edges)[0]
    there = np.histogram(actual, edges)[0]
    for low, count, truly in zip(edges[:-1], seen, there, strict=True):
        bar = "█" * round(40 * count / max(seen.max(), 1))
        table.add_row(f"{low:.1f}", f"{count:,}", bar, f"{truly:,}")
    return table


def _recovered(
    board: dict[str, np.ndarray], true: np.ndarray, estimated: np.ndarray, actual: np.ndarray
) -> Table:
    table = Table(title="Recovered against true", title_justify="left")
    for name in ("", "attentive votes found out", "all votes at face value"):
        table.add_column(name, justify="left" if not name else "right")
    own, plain = board["strength"], board["ordinary_strength"]
    inside = (board["lower"] <= true) & (true <= board["upper"])
    table.add_row("slope on true strengths", f"{_slope(true, own):.3f}", f"{_slope(true, plain):.3f}")
    table.add_row("root mean square error", f"{_rms(own - true):.3f}", f"{_rms(plain - true):.3f}")
    table.add_row("95 % intervals that hold the truth", f"{inside.sum()} of {len(true)}", "")
    table.add_row("correlation with true attentiveness", f"{np.corrcoef(estimated, actual)[0, 1]:.3f}", "")
    table.add_row("mean attentiveness, true one", f"{estimated.mean():.3f}, {actual.mean():.3f}", "")
    return table


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(x, y, 1)[0])


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))
