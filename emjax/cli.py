"""The command line: emjax demo, fit, simulate, report."""

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from emjax.errors import EmjaxError, EmjaxWarning, ModelError, OutputError
from emjax.model.attentiveness import Attentiveness
from emjax.model.beta import Beta
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.discrete import Grid, Points, TwoPoint
from emjax.model.strength import Known, PerPair, Shared, Strength

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Who votes attentively? Attentiveness of users and strengths of models, from comparison votes.",
)
_Out = Annotated[Path, typer.Option("--out", help="Folder to write; new or empty, or use --overwrite.")]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the fit that is in the folder.")]


def main() -> None:
    """Run the command line; what emjax refuses is one line on standard error and exit code 1."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            warnings.simplefilter("always", EmjaxWarning)
            app()
    except EmjaxError as error:
        _complain(f"error: {error}")
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


@app.command()
def fit(
    votes: Annotated[
        list[str], typer.Argument(help="Vote files: csv, tsv, jsonl or parquet; a folder or a glob will do.")
    ],
    out: _Out,
    prior: Annotated[
        str, typer.Option(help="two-point, points:K, beta, or grid[bold]:G[/] with G points.")
    ] = "grid",
    strength: Annotated[
        str, typer.Option(help="auto, known:0.74, shared, per-pair or bradley-terry.")
    ] = "auto",
    user: Annotated[str | None, typer.Option(help="Column that says who voted.")] = None,
    model_a: Annotated[str | None, typer.Option(help="Column with the first model.")] = None,
    model_b: Annotated[str | None, typer.Option(help="Column with the second model.")] = None,
    winner: Annotated[str | None, typer.Option(help="Column that says who won.")] = None,
    ties: Annotated[str, typer.Option(help="drop, or half (half a vote each way).")] = "drop",
    tol: Annotated[float, typer.Option(help="Log-likelihood that may be lacking at the end.")] = 1e-3,
    max_steps: Annotated[int, typer.Option(help="Most EM steps.")] = 1000,
    overwrite: _Overwrite = False,
) -> None:
    """Fit votes: who is attentive, and how strong the models are.

    Writes fit.json, users.parquet, comparisons.parquet, leaderboard.parquet (with Bradley-Terry strengths)
    and report.html.

    Example: emjax fit votes.csv --user worker --out fitted
    """
    chosen_prior, chosen_strength = parse_prior(prior), parse_strength(strength)
    from emjax.infer.em import fit_em
    from emjax.report.output import check_folder, write_output
    from emjax.votes.frames import read_votes

    check_folder(out, overwrite=overwrite)
    with _working("reading votes"):
        prefs = read_votes(
            votes if len(votes) > 1 else votes[0],
            user=user,
            model_a=model_a,
            model_b=model_b,
            winner=winner,
            ties=ties,
        )
    print(prefs)
    with _working("fitting"):
        fitted = fit_em(prefs, chosen_prior, strength=chosen_strength, tol=tol, max_steps=max_steps)
    with _working("writing"):
        write_output(fitted, prefs, out)
    print(fitted)
    print(f"Written to {out}: open {out / 'report.html'}")


@app.command()
def demo(
    out: _Out = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
    n_users: Annotated[int, typer.Option("--users", help="Number of users.", min=10)] = 20_000,
    overwrite: _Overwrite = False,
) -> None:
    """Simulate an arena, fit it, and compare with the truth.

    20 models; a third of the users click at random. The truth is kept aside, in truth.json.

    Example: emjax demo --out demo-out
    """
    from emjax.demo import arena, compare
    from emjax.infer.em import fit_em
    from emjax.report.output import check_folder, write_output

    check_folder(out, overwrite=overwrite)
    start = time.perf_counter()
    with _working("simulating"):
        simulation = arena(seed, n_users)
        prefs = simulation.preferences
    print(prefs)
    with _working("fitting"):
        fitted = fit_em(prefs, Grid())
    with _working("writing"):
        truth = {
            "attentiveness_by_user": {
                str(user): float(simulation.attentiveness[user]) for user in prefs.users
            },
            "strengths": dict(zip(simulation.models, simulation.strengths.tolist(), strict=True)),
        }
        write_output(fitted, prefs, out, truth=truth)
    for picture in compare(fitted, simulation):
        Console().print(picture)
    print(f"{time.perf_counter() - start:.0f} s. Open {out / 'report.html'}")


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", help="File to write: .parquet or .csv.")],
    users: Annotated[int, typer.Option(help="Number of users.", min=1)] = 1000,
    votes_per_user: Annotated[float, typer.Option(help="Mean number of votes of a user.")] = 20,
    models: Annotated[int, typer.Option(help="Number of models; strengths are N(0, 1).", min=2)] = 2,
    strength: Annotated[
        float, typer.Option(help="With two models: how often an attentive user prefers A.")
    ] = 0.74,
    prior: Annotated[
        str, typer.Option(help="beta:a,b, or two-point:low,high,weight (weight: share at high).")
    ] = "beta:3,5",
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    overwrite: _Overwrite = False,
) -> None:
    """Simulate votes, one row each: user, model_a, model_b, winner.

    The truth is written beside it, as NAME.truth.json.

    Example: emjax simulate --users 5000 --votes-per-user 30 --models 10 --out votes.parquet
    """
    from emjax.demo import write_simulation
    from emjax.model.simulate import simulate as draw

    if out.suffix not in (".parquet", ".csv"):
        raise OutputError(f"{out} should end in .parquet or .csv.")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} is there already: give another name, or --overwrite.")
    from emjax.demo import normal_strengths

    drawn = draw(
        seed,
        n_users=users,
        votes_per_user=votes_per_user,
        prior=parse_simulated_prior(prior),
        strength=strength,
        strengths=normal_strengths(seed, models) if models > 2 else None,
        spread=True,
    )
    truth = write_simulation(drawn, out)
    print(f"{drawn}. Written to {out}, the truth to {truth}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `emjax fit` or `emjax demo` wrote.")],
) -> None:
    """Write report.html again, from the files in a folder.

    Example: emjax report fitted
    """
    from emjax.report.page import write_report

    print(f"Written: {write_report(folder)}")


def parse_prior(text: str) -> Attentiveness:
    """A prior from its name on the command line."""
    name, _, rest = text.partition(":")
    if name == "two-point" and not rest:
        return TwoPoint()
    if name == "beta" and not rest:
        return Beta()
    if name == "grid":
        return Grid(_whole(rest, text)) if rest else Grid()
    if name == "points" and rest:
        return Points(_whole(rest, text))
    raise ModelError(f"--prior {text} is not understood: give two-point, points:K, beta, grid or grid:G.")


def parse_strength(text: str) -> Strength | None:
    """A strength from its name on the command line; None lets `fit_em` choose."""
    name, _, rest = text.partition(":")
    if name == "known" and rest:
        return Known(_number(rest, f"--strength {text}"))
    kinds = {"shared": Shared, "per-pair": PerPair, "bradley-terry": BradleyTerry}
    if name in kinds and not rest:
        return kinds[name]()
    if text == "auto":
        return None
    raise ModelError(
        f"--strength {text} is not understood: give auto, known:0.74, shared, per-pair or bradley-terry."
    )


def parse_simulated_prior(text: str) -> Attentiveness:
    """A prior to simulate from: beta:a,b or two-point:low,high,weight."""
    name, _, rest = text.partition(":")
    numbers = [_number(x, f"--prior {text}") for x in rest.split(",")] if rest else []
    if name == "beta" and len(numbers) == 2:
        return Beta(*numbers)
    if name == "two-point" and len(numbers) == 3:
        return TwoPoint(*numbers)
    raise ModelError(f"--prior {text} is not understood: give beta:3,5 or two-point:0.1,0.9,0.7.")


def _whole(text: str, given: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ModelError(f"--prior {given}: {text!r} is not a whole number.") from None


def _number(text: str, given: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"{given}: {text!r} is not a number.") from None


@contextmanager
def _working(what: str) -> Iterator[None]:
    """Show that something is going on, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    start = time.perf_counter()
    with console.status(f"{what} …"):
        yield
    console.print(f"[dim]{what}: {time.perf_counter() - start:.1f} s[/]")


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    _complain(
        f"warning: {message}" if issubclass(category, EmjaxWarning) else f"{category.__name__}: {message}"
    )


def _complain(text: str) -> None:
    print(" ".join(text.split()), file=sys.stderr)
