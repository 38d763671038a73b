"""The command line: emjax demo, fit, aggregate, filter, simulate, report."""

import gc
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emjax.cli import compilation_cache
from emjax.cli.check import check
from emjax.cli.console import run, say, wait_and_tell, wait_for, working
from emjax.cli.diff import diff
from emjax.cli.options import (
    LARGEST_SEED,
    Covariates,
    Csv,
    FeatureBins,
    Features,
    GoldAccuracy,
    Item,
    Out,
    Overwrite,
    Plot,
    PriorUsers,
    Reading,
    Scale,
    Scores,
    VoteFeatures,
    Votes,
    column,
    reads_votes,
)
from emjax.cli.simulate import demo, simulate
from emjax.data.defaults import ACCURACY
from emjax.errors import ModelError, warn

if TYPE_CHECKING:
    from emjax.infer.fit import Fit
    from emjax.report.leaderboard_blocks import Board

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    gc.set_threshold(100_000)  # what a command imports and traces is needed until its end
    run(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"emjax {version('emjax')}")
        raise typer.Exit


@app.callback(
    epilog="Example: emjax demo; and for votes of your own: emjax fit votes.csv --out fitted. "
    + compilation_cache.HELP
)
def front(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Who votes attentively? Attentiveness of users and strengths of models, from comparison votes."""
    compilation_cache.use()


@app.command(epilog="Example: emjax fit 'votes/*.csv' --user worker --ties half --out fitted")
@reads_votes
def fit(
    votes: Annotated[
        list[str],
        typer.Argument(
            metavar="VOTES",
            help="Files (csv, tsv, jsonl, json, parquet), folders, globs; or what `emjax aggregate` wrote.",
        ),
    ],
    out: Out,
    prior: Annotated[
        str, typer.Option(metavar="PRIOR", help="grid, grid:G, beta, two-point or points:K.")
    ] = "grid",
    strength: Annotated[
        str,
        typer.Option(
            metavar="STRENGTH",
            help="auto, bradley-terry, shared, per-pair, known:0.74, per-item, per-item:K.",
        ),
    ] = "auto",
    behavior: Annotated[
        str, typer.Option(metavar="BEHAVIOR", help="attentive-or-random or sharpness.")
    ] = "attentive-or-random",
    guess: Annotated[
        float | None,
        typer.Option(metavar="RATE", help="With --shown-first: known share of clicks for the first answer."),
    ] = None,
    contrarians: Annotated[
        bool, typer.Option("--contrarians", help="Allow for users who choose the worse answer.")
    ] = False,
    *,
    reading: Reading,
    gold_accuracy: GoldAccuracy = ACCURACY,
    prior_users: PriorUsers = None,
    tol: Annotated[
        float, typer.Option(metavar="TOL", help="Log-likelihood allowed below the maximum.")
    ] = 1e-3,
    max_steps: Annotated[int, typer.Option(metavar="N", help="Most EM steps.")] = 1000,
    scale: Scale = "log-odds",
    csv: Csv = None,
    plot: Plot = None,
    overwrite: Overwrite = False,
    item: Item = None,
    features: Features = None,
    scores: Scores = None,
    vote_features: VoteFeatures = None,
    feature_bins: FeatureBins = None,
    covariates: Covariates = None,
) -> None:
    """Fit votes: who is attentive, and how strong the models are.

    VOTES has one row per vote: user, model_a, model_b, winner. DIR receives a
    page to read, report.html; fit.json; and the tables users.parquet,
    comparisons.parquet and (Bradley-Terry strengths only) leaderboard.parquet.

    The prior says how attentiveness is spread over users: freely over G points,
    as a Beta distribution, or in two or K kinds of users. The strength says how
    often an attentive user prefers the better model: by a score of each model
    (bradley-terry), one number for all comparisons (shared) or for each
    (per-pair), or known. auto: shared for two models, bradley-terry for more.
    With --context each model has a strength in each topic, near its own. With
    --item each pair of answers has one (per-item): who agrees with others counts;
    with --features or --scores too, it is learned from what FILE says of answers.
    How users vote is told by --behavior, --ties, --shown-first and --contrarians;
    with --vote-features attention depends on features of a vote, such as seconds;
    with --covariates strengths are compared at equal length, style, and so on.
    What is known of users besides: by --gold and --prior-users.
    """
    from emjax.cli.answer_files import parse_answers
    from emjax.cli.parse import (
        earlier_history,
        naming_item,
        parse_behavior,
        parse_columns,
        parse_prior,
        parse_strength,
        parse_vote_features,
        told_apart,
        with_features,
    )

    chosen_prior = parse_prior(prior, contrarians=contrarians)
    apart = told_apart(reading.context, item, vote_features or covariates)
    chosen_strength = parse_answers(strength, item, features, scores) or parse_strength(
        strength, by_context=reading.context is not None, by_item=item is not None
    )
    asked = reading.options(context=apart)
    chosen_behavior = parse_behavior(behavior, reading.ties or "drop", guess)
    told_features = parse_vote_features(vote_features, feature_bins, chosen_behavior)
    if not (math.isfinite(tol) and tol > 0):
        raise ModelError(f"--tol {tol:g} is not allowed: give a number above 0, in log-likelihood units.")
    if max_steps < 1:
        raise ModelError(f"--max-steps {max_steps} is too few: give at least 1.")
    from emjax.data.read import read_votes
    from emjax.data.shards import holds_shards, open_shards
    from emjax.infer.em import fit_em
    from emjax.report.leaderboard_files import PICTURES, check_target, known_scale
    from emjax.report.write_fit_folder import check_folder, write_output

    check_folder(out, overwrite=overwrite)
    known_scale(scale)
    for path, kinds in ((csv, (".csv",)), (plot, PICTURES)):
        if path is not None:
            check_target(path, kinds, overwrite=overwrite)
    earlier = None if prior_users is None else earlier_history(prior_users)
    source = votes if len(votes) > 1 else votes[0]
    if holds_shards(votes[0]):
        _check_alone(votes)
        prefs = open_shards(votes[0])
        told = {**asked, "features": vote_features, "covariates": covariates}
        _check_settled(votes[0], prefs.settings, told, gold_accuracy)
        if prefs.table.contexts is not None and prefs.table.strata is None:
            chosen_strength = parse_strength(strength, by_context=True)
        strata = prefs.table.strata
    else:
        settings: dict[str, Any] = {
            "gold_accuracy": gold_accuracy,
            "vote_features": told_features,
            "feature_bins": 5 if feature_bins is None else feature_bins,
            "covariates": parse_columns("--covariates", covariates),
        }
        with naming_item(item):
            prefs = wait_for("reading votes", lambda: read_votes(source, **asked, **settings))
        strata = prefs.strata
        say(prefs.read_as)
    say(repr(prefs))
    Thread(target=_prepare_page).start()  # while the fit is being compiled
    fitted = wait_for(
        "fitting",
        lambda: fit_em(
            prefs,
            chosen_prior,
            strength=chosen_strength,
            behavior=with_features(chosen_behavior, strata),
            tol=tol,
            max_steps=max_steps,
            prior_users=earlier,
        ),
    )
    with working("writing"):
        write_output(fitted, prefs, out, overwrite=overwrite, scale=scale)
        board = _leaderboard(out, scale, csv, plot)
    say(_result(fitted, board, scale))
    say(f"Written to {out}: open {out / 'report.html'}")


@app.command(epilog="Example: emjax aggregate 'votes/*.parquet' --memory-limit 4GB --out shards")
@reads_votes
def aggregate(
    votes: Votes,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder to write: new, empty, or begun by this command."),
    ],
    reading: Reading,
    gold_accuracy: GoldAccuracy = ACCURACY,
    shards: Annotated[
        int | None, typer.Option(metavar="N", help="Number of files to write; by the memory if not given.")
    ] = None,
    memory_limit: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory to use before the disk is used, as in 4GB.")
    ] = None,
    vote_features: VoteFeatures = None,
    feature_bins: FeatureBins = None,
    covariates: Covariates = None,
) -> None:
    """Count votes that do not fit into memory, for `emjax fit DIR`.

    DIR receives the counts of each user and comparison as parquet files, each
    user in one of them, and manifest.json. A command that was stopped goes on
    when it is given again, from the files that it had counted. Options are those
    of `emjax fit`, which then needs none of them.
    """
    from emjax.cli.parse import parse_columns, parse_vote_features, told_apart
    from emjax.data.aggregate import aggregate as count

    asked = reading.options(context=told_apart(reading.context, None, vote_features or covariates))
    settings: dict[str, Any] = {
        "gold_accuracy": gold_accuracy,
        "vote_features": parse_vote_features(vote_features, feature_bins, None),
        "feature_bins": 5 if feature_bins is None else feature_bins,
        "covariates": parse_columns("--covariates", covariates),
    }
    settings |= {"shards": shards, "memory_limit": memory_limit}
    made = wait_and_tell("counting", lambda tell: count(votes, out, **asked, **settings, progress=tell))
    say(repr(made))
    say(f"Written to {out}: emjax fit {out} --out DIR")


@app.command(
    "filter",
    epilog="Example: emjax filter 'votes/*.csv' --fit fitted --policy top:0.7 --out filtered",
)
@reads_votes
def filter_votes(
    votes: Annotated[
        list[str],
        typer.Argument(metavar="VOTES", help="The votes that were fitted: files, folders of them, or globs."),
    ],
    fit: Annotated[Path, typer.Option("--fit", metavar="DIR", help="Folder that `emjax fit` wrote.")],
    policy: Annotated[str, typer.Option(metavar="POLICY", help="Which votes to keep; see above.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR2", help="Folder to write, new or empty.")],
    resample: Annotated[
        int | None,
        typer.Option(
            metavar="SEED", help="With weights: draw training pairs by weight.", min=0, max=LARGEST_SEED
        ),
    ] = None,
    *,
    reading: Reading,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier filter wrote there.")
    ] = False,
    item: Item = None,
    prompt: Annotated[str | None, column("The prompt.")] = None,
    response_a: Annotated[str | None, column("The answer of the first model.")] = None,
    response_b: Annotated[str | None, column("The answer of the second model.")] = None,
) -> None:
    """Keep or weight votes by attentiveness, and make training pairs of them.

    Each vote is judged by the other votes of its user. DIR2 receives the votes
    with columns kept, weight, attentiveness, soft_label (votes.parquet);
    users.parquet; filter.json; a page to read, report.html; and, where VOTES has
    a prompt and two answers, the folder dpo of training pairs, for
    trl dpo --dataset_name DIR2/dpo. VOTES are read with the options that `emjax fit`
    was given (columns, --ties, --empty-winner and so on); an option given here wins.

    POLICY is one of top:0.7 (the best 70 % of votes; top:0.7:users of users),
    threshold:0.5 (likeliest attentiveness of at least 0.5), credible:0.5:0.9
    (attentiveness of at least 0.5 with probability 0.9), max-information (the
    threshold that tells most about the reward), weights, soft-labels, attentive
    (these keep all votes, for trainers that use the columns), likely:0.8 (votes
    that are right with probability 0.8, judged by what they say too, as are
    weights:vote and soft-labels:vote), flip:0.5 (after
    fit --contrarians: |attentiveness| of at least 0.5; below 0 votes are turned).
    """
    from emjax.cli.parse import blaming, naming_item, remembered, told_apart
    from emjax.data.columns import COLUMN_OPTIONS
    from emjax.data.row_rules import RowRules
    from emjax.decide.filter import filter_votes
    from emjax.decide.policy_text import parse_policy
    from emjax.infer.load import load_fit
    from emjax.report.write_filter_folder import check_filtered_folder, filtered_folder, write_filtered

    with blaming(f"--policy {policy}"):
        chosen = parse_policy(policy)
    asked = reading.options(context=told_apart(reading.context, item))
    if resample is not None and not chosen.weighs:
        raise ModelError(f"--resample draws by weight: it goes with --policy weights, not {policy}.")
    check_filtered_folder(out, overwrite=overwrite)
    fitted = load_fit(fit)
    source = votes if len(votes) > 1 else votes[0]
    how = fitted.read_options(source, **asked)
    if fitted.data.get("gold_accuracy") and how.get("gold") is None:
        warn("The fit was told of gold questions. Without --gold COLUMN their votes are judged as any other.")
    columns = {role: how.get(role) for role in COLUMN_OPTIONS}
    rules = RowRules.of(how)
    text = {name: how.get(name) for name in ("separator", "encoding")}
    texts = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
    of_item = how.get("context") if fitted.strength.items_are_latent else item
    with naming_item(of_item):
        prefs = wait_for("reading votes", lambda: fitted.read_votes(source, **asked))
    as_fitted = remembered(fitted, asked, how)
    if as_fitted:
        say(f"read as for the fit: {as_fitted}")
    say(repr(prefs))
    kept = wait_for("judging", lambda: filter_votes(fitted.posterior(prefs), chosen))
    with filtered_folder(out) as stage:
        written = wait_for(
            "writing",
            lambda: write_filtered(
                stage,
                source,
                kept,
                prefs,
                columns=columns,
                texts=texts,
                rules=rules,
                text_files=text,
                resample=resample,
                fit_folder=fit,
            ),
        )
    say(repr(replace(kept, notes=tuple(written["notes"]))))
    say(f"Written to {out}: open {out / 'report.html'}")
    if written["pairs"]:
        pairs = f"{written['pairs']['n_pairs']:,} training pairs"
        say(f"{pairs}: trl dpo --model_name_or_path MODEL --dataset_name {out / 'dpo'} --output_dir DIR3")


app.command(epilog="Example: emjax check votes.csv --user worker")(check)
app.command(epilog="Example: emjax diff fit-of-monday fit-of-tuesday")(diff)
app.command(epilog="Example: emjax demo --users 2000 --out demo-out")(demo)
app.command(epilog="Example: emjax simulate --users 5000 --models 10 --out votes.parquet")(simulate)


@app.command(epilog="Example: emjax report fitted")
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `emjax fit` or `emjax demo` wrote.")
    ],
    scale: Scale = "log-odds",
) -> None:
    """Write report.html again, from the files in a folder alone."""
    from emjax.report.fit_page import write_report
    from emjax.report.leaderboard_files import known_scale

    with working("writing"):
        page = write_report(folder, scale=known_scale(scale))
    say(f"Written: {page}")


def _leaderboard(out: Path, scale: str, csv: Path | None, plot: Path | None) -> "Board | None":
    """The leaderboard in the folder on a scale, written once more for other people; None without one."""
    from emjax.report.leaderboard_files import on_scale, read_board, write_csv, write_picture

    board = read_board(out)
    if board is None:
        if csv is not None or plot is not None or scale != "log-odds":
            warn("These strengths have no models of their own, and so there is no leaderboard to write.")
        return None
    placed = on_scale(board, scale)
    if csv is not None:
        write_csv(placed, csv)
    if plot is not None:
        write_picture(placed, scale, plot)
    return placed


def _prepare_page() -> None:
    """Import what writes the page, and compile its templates."""
    import_module("emjax.report.fit_page")
    import_module("emjax.report.render").prepare()


def _check_alone(votes: list[str]) -> None:
    if len(votes) > 1:
        raise ModelError(f"{votes[0]} holds aggregated votes, which are fitted alone: give nothing else.")


def _check_settled(
    folder: str, settings: Mapping[str, Any], asked: Mapping[str, Any], accuracy: float
) -> None:
    """Refuse options that were settled by `emjax aggregate`, unless they say what was said there."""
    from emjax.data.row_rules import RowRules

    usual = asdict(RowRules())
    before = {**usual, **settings, **settings.get("told", {})}
    # How files of text are written does not matter once they are counted.
    asked = {name: of for name, of in asked.items() if name not in ("separator", "encoding")}
    other = any(
        of is not None and of not in (before.get(name), usual.get(name)) for name, of in asked.items()
    )
    if other or accuracy not in (ACCURACY, settings.get("gold_accuracy", ACCURACY)):
        raise ModelError(
            f"{folder} holds aggregated votes: --ties and columns were settled by emjax aggregate."
        )


def _result(fitted: "Fit", board: "Board | None", scale: str) -> str:
    """The fit as it prints itself, without what has already been said as a warning.

    On another scale than log-odds the leaderboard takes the place of the strengths; where strengths differ by
    context the overall ranking, which a fit alone does not print, comes at the end.
    """
    from emjax.report.leaderboard_blocks import overall_text, ranking_lines, rankings
    from emjax.report.leaderboard_files import SCALES

    said, after = fitted.text(), ""
    if board is not None:
        chosen = SCALES[scale]
        after = overall_text(board, chosen.column, chosen.decimals)
        if scale != "log-odds":
            ranking = ranking_lines(rankings(board)[0], chosen.column, chosen.decimals)
            said, after = fitted.text(leaderboard=after.split("\n") if after else ranking), ""
    lines = said.split("\n")
    if not fitted.converged:
        lines.remove(fitted.message)
    lines = [line for line in lines if not line.startswith("warning: ")]
    return "\n".join([*lines, after] if after else lines)
