"""The commands that need no votes, since they draw them: emjax demo and emjax simulate."""

import time
from pathlib import Path
from typing import Annotated

import typer

from emjax.cli.console import say, wait_for, working
from emjax.cli.options import LARGEST_SEED, Out, Overwrite
from emjax.errors import ModelError

_MOST_VOTES = 1_000_000_000


def demo(
    out: Out = Path("demo-out"),
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the simulation.", min=0, max=LARGEST_SEED)
    ] = 0,
    n_users: Annotated[int, typer.Option("--users", metavar="N", help="Number of users.", min=10)] = 5_000,
    overwrite: Overwrite = False,
) -> None:
    """Simulate an arena, fit it, and compare with the truth.

    20 models and 25 votes per user, a third of whom click at random. Takes some
    seconds, and writes what `emjax fit` does, with the truth in truth.json.
    """
    from rich.console import Console

    from emjax.cli.arena import arena, compare, truth_of
    from emjax.infer.em import fit_em
    from emjax.model.priors_discrete import Grid
    from emjax.report.write_fit_folder import check_folder, write_output

    check_folder(out, overwrite=overwrite)
    start = time.perf_counter()
    simulation = wait_for("simulating", lambda: arena(seed, n_users))
    prefs = simulation.preferences
    say(repr(prefs))
    fitted = wait_for("fitting", lambda: fit_em(prefs, Grid()))
    with working("writing"):
        write_output(fitted, prefs, out, overwrite=overwrite, truth=truth_of(simulation))
    for picture in compare(fitted, simulation):
        Console().print(picture)
    say(f"{time.perf_counter() - start:.0f} s. Written to {out}: open {out / 'report.html'}")


def simulate(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write: .parquet or .csv.")],
    users: Annotated[int, typer.Option(metavar="N", help="Number of users.", min=1)] = 1000,
    votes_per_user: Annotated[float, typer.Option(metavar="N", help="Mean number of votes of a user.")] = 20,
    models: Annotated[
        int, typer.Option(metavar="N", help="Number of models; strengths drawn from N(0, 1).", min=2)
    ] = 2,
    strength: Annotated[
        float | None,
        typer.Option(
            metavar="MU", help="Two models: how often an attentive user prefers A (0.74 if not given)."
        ),
    ] = None,
    prior: Annotated[
        str, typer.Option(metavar="PRIOR", help="Attentiveness: beta:A,B or two-point:LOW,HIGH,SHARE-HIGH.")
    ] = "beta:3,5",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed.", min=0, max=LARGEST_SEED)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Simulate votes, one row each: user, model_a, model_b, winner.

    The truth is written beside FILE, as NAME.truth.json. With two models, A is
    always listed first; with more, pairs and sides are drawn at random.
    """
    from emjax.cli.arena import check_file, normal_strengths, write_simulation
    from emjax.cli.parse import parse_simulated_prior
    from emjax.model.simulate import simulate as draw

    chosen_prior = parse_simulated_prior(prior)
    if strength is not None and models > 2:
        raise ModelError(f"--strength is for two models; with --models {models} strengths are drawn.")
    if not 0 < votes_per_user * users <= _MOST_VOTES:
        raise ModelError(
            f"--votes-per-user {votes_per_user:g} cannot be: give a number above 0, and at most "
            f"{_MOST_VOTES:,} votes in all."
        )
    check_file(out, overwrite=overwrite)
    drawn = wait_for(
        "simulating",
        lambda: draw(
            seed,
            n_users=users,
            votes_per_user=votes_per_user,
            prior=chosen_prior,
            strength=0.74 if strength is None else strength,
            strengths=normal_strengths(seed, models) if models > 2 else None,
            spread=True,
        ),
    )
    with working("writing"):
        truth = write_simulation(drawn, out)
    say(f"{drawn}. Written to {out}, the truth to {truth}")
