"""From votes with texts, a fit and a policy to a datasets.Dataset that a DPO trainer takes."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

from emjax.data.columns import COLUMN_OPTIONS
from emjax.data.read import read_votes
from emjax.data.row_matching import opened_rows
from emjax.data.row_rules import RowRules
from emjax.data.strata import VoteStrata
from emjax.decide.filter import filter_votes
from emjax.decide.policy import Policy
from emjax.errors import MissingExtra, ModelError, OutputError
from emjax.infer.fit import Fit
from emjax.model.posterior import Posterior
from emjax.train.pairs import PAIRS, decide_rows, write_rows


def to_dpo_dataset(
    votes: Any,
    judged_by: Fit | Posterior,
    policy: Policy,
    *,
    user: str | None = None,
    model_a: str | None = None,
    model_b: str | None = None,
    winner: str | None = None,
    prompt: str | None = None,
    response_a: str | None = None,
    response_b: str | None = None,
    shown_first: str | None = None,
    context: str | None = None,
    gold: str | None = None,
    gold_accuracy: float | None = None,
    ties: str | None = None,
    empty_winner: str | None = None,
    strict: bool | None = None,
    resample: int | None = None,
    folder: str | Path | None = None,
    memory_limit: str | None = None,
    format: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> Any:
    """Votes with texts as training pairs for direct preference optimisation.

    Parameters
    ----------
    votes : table or path
        As for `read_votes`, with a prompt and two answers in each row: text, or lists of messages with a role
        and a content.
    judged_by : Fit or Posterior
        A Fit judges each user by the votes given here; a Posterior was made from these votes already.
    policy : Policy
        Which votes to keep, and how much each counts.
    user, model_a, model_b, winner, prompt, response_a, response_b : str, optional
        Names of the columns. Common names are recognised.
    shown_first, context, gold, gold_accuracy, ties, empty_winner, strict
        As for `read_votes`. What is not given is as it was for the votes of the fit. No pairs are made of
        gold questions, nor of ties.
    resample : int, optional
        A seed. Pairs are drawn by their weights, as many as there are votes, for trainers without
        weights; with the policy `Weights` only.
    folder : path, optional
        Where to write the pairs, as `train.parquet`: new or empty. `trl dpo --dataset_name FOLDER` trains
        from it. Without it they lie in a temporary folder until Python ends.
    memory_limit, format, separator, encoding : str, optional
        As for `read_votes`.

    Returns
    -------
    datasets.Dataset
        Columns prompt, chosen, rejected, user, attentiveness, weight, soft_label, in the order of the votes;
        mapped from disk and not loaded.

    Raises
    ------
    VotesError
        No texts are found, some are missing from kept votes, or the votes cannot be read.
    ModelError
        The policy keeps nothing, or the fit does not know the models.
    OutputError
        The folder holds something, or cannot be written.
    MissingExtra
        The package datasets is not installed.

    Notes
    -----
    Each vote is judged by the other votes of its user. Where a fit stratifies votes by features, the columns
    of those features are read, too. Pairs whose two answers are equal are left out, for they teach
    nothing. A limit: the strata of votes are in memory, some 50 bytes for each.

    Examples
    --------
    >>> import emjax, pyarrow as pa
    >>> said = ["model_a"] * 5 + ["model_b"]
    >>> table = pa.table({"user": [1] * 6, "model_a": ["new"] * 6, "model_b": ["old"] * 6, "winner": said,
    ...                   "prompt": ["2 + 2?"] * 6, "response_a": ["4"] * 6, "response_b": ["5"] * 6})
    >>> fit = emjax.fit_em(emjax.read_votes(table), emjax.Fixed(emjax.Beta(2, 2)),
    ...                    strength=emjax.Known(0.8))
    >>> to_dpo_dataset(table, fit, emjax.Weights())[5]["chosen"]
    '5'
    """
    datasets = _datasets()
    place = None if folder is None else _empty(Path(folder))
    given = {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner, "format": format}
    given |= {"shown_first": shown_first, "context": context, "gold": gold, "gold_accuracy": gold_accuracy}
    given |= {"ties": ties, "empty_winner": empty_winner, "strict": strict}
    how, strata = _options(votes, judged_by, given | {"separator": separator, "encoding": encoding})
    prefs = read_votes(votes, memory_limit=memory_limit, **how)
    prefs = prefs if strata is None else prefs.with_strata(strata)
    columns = {role: how.get(role) for role in COLUMN_OPTIONS}
    rules = RowRules.of(how)
    text = {name: how.get(name) for name in ("separator", "encoding")}
    posterior = judged_by.posterior(prefs) if isinstance(judged_by, Fit) else judged_by
    if posterior.prefs is None:
        raise ModelError("this Posterior does not know the votes it was made from: use Fit.posterior(prefs).")
    kept = filter_votes(posterior, policy)
    work = Path(tempfile.mkdtemp(prefix="emjax-", dir=None if place is None else place))
    try:
        texts = {"prompt": prompt, "response_a": response_a, "response_b": response_b}
        with opened_rows(votes, columns, memory_limit, rules, **text) as rows:
            decided = decide_rows(rows, kept, posterior.prefs)
            write_rows(decided, pairs=work, texts=texts, resample=resample)
        if place is not None:
            (work / PAIRS).replace(place / PAIRS)
            return datasets.Dataset.from_parquet(str(place / PAIRS))
        atexit.register(shutil.rmtree, work, ignore_errors=True)
        return datasets.Dataset.from_parquet(str(work / PAIRS), cache_dir=str(work / "cache"))
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        if place is not None:
            shutil.rmtree(work, ignore_errors=True)


def _options(
    votes: Any, judged_by: Fit | Posterior, given: dict[str, Any]
) -> tuple[dict[str, Any], VoteStrata | None]:
    """Options of `read_votes`: those given, before those of the votes that were judged; and their strata."""
    strata = strata_of(judged_by)
    if isinstance(judged_by, Fit):
        return judged_by.read_options(votes, **given), strata
    how = {name: of for name, of in given.items() if of is not None}
    before = {} if judged_by.prefs is None else dict(judged_by.prefs.read_with)
    features = {"vote_features": strata} if strata is not None and strata.cuts else {}
    return {**features, **before, **how}, strata


def strata_of(judged_by: Fit | Posterior) -> VoteStrata | None:
    """Strata of the votes: those of a fit, or of the votes that a posterior was made from."""
    if isinstance(judged_by, Fit):
        return judged_by.strata
    return None if judged_by.prefs is None else judged_by.prefs.strata


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtra.needed("datasets", extra="train", what="to_dpo_dataset") from None
    return datasets


def _empty(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder} holds something: give a new folder.")
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder} cannot be written ({error.strerror or error}).") from None
    return folder
