"""Fit: the result of fit_em."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy as np

from emjax.data.anchor_files import write_anchor_votes
from emjax.data.anchors import AnchorVotes
from emjax.data.cell_counts import CellCounts
from emjax.data.comparison_table import ComparisonTable
from emjax.data.find_files import find_files, is_path
from emjax.data.fit_json import FORMAT, VERSION
from emjax.data.preferences import Preferences
from emjax.data.read import VotesLike, as_votes, is_table, read_votes
from emjax.data.shards import holds_shards
from emjax.data.strata import VoteStrata
from emjax.data.write import as_frame, join_users
from emjax.errors import ModelError, OutputError, Renamed, VotesError, warn
from emjax.infer.belief_propagation import believed
from emjax.infer.identifiability import Identifiability
from emjax.infer.leaderboard import NULLABLE, Difference, compared, leaderboard_columns
from emjax.infer.output_files import OUTPUT, check_save_folder, write_whole
from emjax.infer.posteriors import posterior, user_columns
from emjax.infer.serialization import check_saved, describe, to_plain
from emjax.infer.standard_errors import Curvature, StandardErrors, standard_errors
from emjax.infer.summaries import (
    comparison_columns,
    counted,
    covariate_columns,
    parameter_lines,
)
from emjax.infer.user_history import history
from emjax.infer.vote_sources import Source, as_source, source_type, table_of
from emjax.model.capabilities import check_together, parts_of
from emjax.model.posterior import Posterior
from emjax.model.prior import Attentiveness, moments
from emjax.model.prompt_answers import ByAnswer
from emjax.model.response import Behavior
from emjax.model.strength import Strength

PRIOR_USERS = "prior_users.parquet"
_TIES = "ties dropped"  # as `Preferences.left_out` calls them
_OF_TEXT = {
    "separator": ("csv", "tsv"),
    "encoding": ("csv", "tsv", "jsonl"),
}  # options, and files they are for


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A fitted model: attentiveness prior, strengths, and how sure to be of them.

    Attributes
    ----------
    prior, strength, behavior
        Fitted; of the types that went in, and they can go in again.
    log_likelihood : float
        Marginal log-likelihood, without binomial coefficients and without log priors; answers to gold
        questions and earlier votes are part of it.
    trace : (steps,)
        The objective (log-likelihood plus log priors of the strengths): at each EM step that counted, then
        at each Newton step (with trust-region steps among them, where strengths are many).
    em_steps, newton_steps : int
        EM steps evaluated (extrapolated ones included), and Newton and trust-region steps.
    gap, tol : float
        Optimality gap: how far the objective is below this maximum, at most, as derivatives near it estimate
        to second order (infinite where they give no bound, and then null in files; other maxima may be
        higher); and the gap allowed.
    curvature : Curvature
        Derivatives of the log-likelihood, for standard errors.
    identified : Identifiability
    data : dict
        Numbers of users, votes, comparisons and models, and what was left out; and under "read_with" the
        options of `read_votes` that the votes were read with, as far as they were read from a table.
    prior_users : AnchorVotes, optional
        What was known of users before their first vote, as it was given to `fit_em`.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(0, n_users=3000, votes_per_user=40, prior=emjax.TwoPoint(0.1, 0.95, 0.7))
    >>> fit = emjax.fit_em(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.74))
    >>> fit.posterior(sim.preferences).mean.shape
    (3000,)
    """

    prior: Attentiveness
    strength: Strength
    behavior: Behavior
    log_likelihood: float
    trace: np.ndarray
    em_steps: int
    newton_steps: int
    gap: float
    tol: float
    step_limit: bool
    curvature: Curvature
    identified: Identifiability
    data: dict[str, Any]
    prior_users: AnchorVotes | None = None

    @property
    def strata(self) -> VoteStrata | None:
        """The strata of votes by features and covariates; for `read_votes(new, vote_features=fit.strata)`."""
        of = self.behavior.features or getattr(self.strength, "covariates", None)
        return None if of is None else of.strata

    polish_steps = Renamed("newton_steps")  # its name in version 0.1

    @property
    def converged(self) -> bool:
        """Whether the objective is estimated to be within `tol` of this maximum."""
        return self.gap <= self.tol

    @property
    def outcome(self) -> str:
        """How the fit ended, in one or two words: "converged", "step limit" or "stalled"."""
        if self.converged:
            return "converged"
        return "step limit" if self.step_limit else "stalled"

    @property
    def message(self) -> str:
        """How the fit ended, in a sentence that says what to do about it."""
        if self.converged:
            return (
                f"Converged: by its derivatives the log-likelihood is within {self.gap:.1e} of this maximum "
                f"({counted(self.em_steps, 'EM step')}, {counted(self.newton_steps, 'Newton step')})."
            )
        if self.gap == np.inf:
            return (
                "Stalled where derivatives do not say how far the log-likelihood is below its maximum: it "
                "is flat, or not concave, along some combination of strengths. Use a strength with fewer "
                "parameters, as BradleyTerry(), or collect more votes."
            )
        if self.step_limit:
            return (
                f"Stopped at the limit of {self.em_steps} EM steps with the log-likelihood up "
                f"to {self.gap:.3g} below its maximum: raise max_steps, or go on from "
                f"fit.prior and fit.strength."
            )
        return (
            f"Stalled with the log-likelihood up to {self.gap:.3g} below its maximum (allowed: "
            f"{self.tol:g}): rounding or a flat likelihood stops further steps. "
            f"Look at fit.identifiability(), or raise tol."
        )

    def standard_errors(
        self, *, sandwich: bool = False, include_prior: bool = False, level: float = 0.95
    ) -> StandardErrors:
        """Standard errors and intervals of the parameters, on their natural scale.

        Parameters
        ----------
        sandwich
            Cluster by user: right also where votes of one user depend on each other beyond the model.
        include_prior
            Count the log priors of strengths, and of slopes of features, as information.
        level
            Probability of the intervals.

        Returns
        -------
        StandardErrors

        Notes
        -----
        From the Hessian of the marginal log-likelihood by the delta method. At a bound, and where the votes
        determine nothing, there is no standard error and a note says so. Under a Grid the weights are
        maximised out. Intervals of positive parameters (the shapes of a Beta, the rate of ties) are normal
        for their logarithms.
        """
        if (sandwich, include_prior, level) == (False, False, 0.95):
            return self._standard_errors
        return standard_errors(self.curvature, sandwich=sandwich, include_prior=include_prior, level=level)

    @cached_property
    def _standard_errors(self) -> StandardErrors:
        """Those by default, which all tables take: of a thousand strengths they take a second."""
        return standard_errors(self.curvature)

    def identifiability(self) -> Identifiability:
        """What these votes cannot determine of this model, in words, with the remedy."""
        return self.identified

    def read_options(self, source: Any, **options: Any) -> dict[str, Any]:
        """Options of `read_votes` with which a table or files are read as the votes of this fit were.

        Parameters
        ----------
        source : table or path
        **options
            Go before what the fit knows; an empty text for a column of the fit, as in ``gold=""``, takes it
            back.

        Examples
        --------
        >>> import emjax
        >>> table = {"who": [1, 1], "model_a": ["a"] * 2, "model_b": ["b"] * 2, "winner": ["a", "tie"]}
        >>> prefs = emjax.read_votes(table, user="who", ties="half")
        >>> fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8))
        >>> fit.read_options(table)
        {'user': 'who', 'ties': 'half'}
        >>> fit.read_options(table, ties="drop")
        {'user': 'who', 'ties': 'drop'}
        """
        known = dict(self.data.get("read_with") or {})
        if not {"separator", "encoding"}.isdisjoint(known):
            kind = find_files(source)[1] if is_path(source) else "table"
            # What was said of files of text is for such files alone.
            known = {name: of for name, of in known.items() if kind in _OF_TEXT.get(name, (kind,))}
        how = {name: of for name, of in {**known, **options}.items() if of is not None and of != ""}
        accuracy, strata = self.data.get("gold_accuracy"), self.strata
        if accuracy and "gold" in how:
            how.setdefault("gold_accuracy", accuracy)
        if strata is not None and strata.cuts:
            how.setdefault("vote_features", strata)
        return how

    def read_votes(self, source: Any, **options: Any) -> Preferences:
        """Votes of a table or of files, read as the votes of this fit were, as far as that is known.

        The options that `read_votes` was given are kept with the fit, also in its folder, and so are the
        strata of votes and the accuracy of gold questions. Of votes that came as arrays they are not known.

        Parameters
        ----------
        source : table or path
            As for `emjax.read_votes`.
        **options
            Of `emjax.read_votes`; they go before what the fit knows.

        Raises
        ------
        VotesError
            As `emjax.read_votes` does.

        Examples
        --------
        >>> import emjax
        >>> table = {"who": [1, 1], "model_a": ["a"] * 2, "model_b": ["b"] * 2, "winner": ["a", "tie"]}
        >>> prefs = emjax.read_votes(table, user="who", ties="half")
        >>> fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8))
        >>> fit.read_votes(table).n_votes
        2.0
        """
        prefs = read_votes(source, **self.read_options(source, **options))
        return prefs if self.strata is None else prefs.with_strata(self.strata)

    def _votes(self, caller: str, given: Any, otherwise: Callable[[str, Any], Any] = as_votes) -> Any:
        """Votes as they are, or read from a table or from files as the votes of the fit were."""
        given = getattr(given, "preferences", given)  # those of a Simulation
        is_folder_of_shards = isinstance(given, str | PathLike) and holds_shards(given)
        if is_folder_of_shards or not (is_table(given) or (is_path(given) and given != [])):
            return otherwise(caller, given)
        instead = (
            f"{caller}(fit.read_votes(VOTES, ...)), with the options that the votes of the fit were read with"
        )
        try:
            prefs = self.read_votes(given)
        except VotesError as error:
            raise VotesError(f"{str(error).rstrip('.')}; give them in {instead}.") from None
        ties = dict(prefs.left_out).get(_TIES, 0.0)
        same_size = all(self.data[name] == getattr(prefs, name) for name in ("n_users", "n_comparisons"))
        if ties and same_size and not self.data["left_out"].get(_TIES) and not self.data.get("read_with"):
            warn(
                f"{caller} left out {ties:,.0f} ties, and the fit left out none. If these are the votes of "
                f"the fit, give {instead}."
            )
        return prefs

    def _source(self, caller: str, given: Any) -> Any:
        """As `_votes`, and shards and cells as they are."""
        return self._votes(caller, given, as_source)

    def posterior(self, prefs: VotesLike) -> Posterior:
        """Posterior of attentiveness for every user of `prefs`, whether they were in the fit or not.

        Here and in the other methods `prefs` are votes, or a data frame or files of them, which are read as
        `read_votes` of the fit does.
        Under `PerItem` strengths items are judged by the votes of `prefs` alone: give all there are on them.

        Raises
        ------
        ModelError
            When `prefs` holds models or comparisons that the fit has no strength for, or no votes.
        """
        prefs = self._votes("fit.posterior", prefs)
        found = posterior(self._with_prior_users(prefs), self.prior, self.strength, self.behavior)
        return replace(found, open_scale=self.identified.open_scale)

    def history(self, prefs: Source) -> AnchorVotes:
        """`AnchorVotes` on the users from these votes, for a later fit: its `prior_users`.

        What the fit itself was given as `prior_users`, and the votes' gold questions, are part of it.

        Raises
        ------
        ModelError
            As in `posterior`; and under `PerItem` strengths, where a vote depends on its item too.

        Notes
        -----
        Votes on comparisons of nearly the same strength (within a fiftieth of ``2μ − 1``) are added up, at
        their mean strength. The strengths are passed on as if they were known. Users of `prior_users` who
        have no votes in `prefs` are passed on unchanged.

        Examples
        --------
        >>> import emjax
        >>> model = {"prior": emjax.TwoPoint(), "strength": emjax.Known(0.8)}
        >>> monday = emjax.Preferences.from_counts([9, 5, 8], [10, 10, 10], users=["ann", "bob", "eve"])
        >>> earlier = emjax.fit_em(monday, **model)
        >>> tuesday = emjax.Preferences.from_counts([3, 2], [4, 4], users=["ann", "bob"])
        >>> emjax.fit_em(tuesday, **model, prior_users=earlier.history(monday)).prior_users
        AnchorVotes: 30 votes of 3 users on 1 question of known strength
        """
        source = self._source("fit.history", prefs)
        check_together([*parts_of(self.strength, self.behavior), source_type(source), "history"])
        assert isinstance(source, Preferences)
        return history(source, self.strength, self.prior_users)

    def _with_prior_users(self, prefs: Preferences) -> Preferences:
        return prefs if self.prior_users is None else prefs.with_anchor_votes(self.prior_users)

    def users(self, prefs: VotesLike) -> Any:
        """One row per user, in the type of table that the votes came in.

        Columns: user, n_votes, attentiveness (posterior mean), attentiveness_sd, attentiveness_map (null
        where the mode says nothing), prob_attentive (P(η ≥ ½)), flip_rate, agreement (share of the votes
        that went to the model which the fitted strengths favour; null where none is favoured).

        Raises
        ------
        ModelError
            As in `posterior`.

        Notes
        -----
        `attentiveness_sd` takes the fitted prior and strengths as known. It is too small where they are not:
        with few users (some dozens), and under a `Grid`, whose fitted distribution has few atoms.
        """
        prefs = self._votes("fit.users", prefs)
        columns = user_columns(prefs, self.posterior(prefs), self.strength)
        return join_users(prefs, columns, nullable=("attentiveness_map", "agreement"))

    def cells(self, counts: CellCounts) -> dict[str, np.ndarray]:
        """The columns of `users` after n_votes, one value per cell of users with the same votes.

        Parameters
        ----------
        counts
            From `emjax.read_cells`. `emjax.join_cells` brings the answers back to the users.

        Raises
        ------
        ModelError
            As in `posterior`; and where the fit was given `prior_users`, which are about users.
        """
        if self.prior_users is not None:
            raise ModelError(
                "cells do not identify users, and this fit knows earlier votes of some users (prior_users): "
                "ask fit.users(prefs) of votes that were read."
            )
        one_each = counts.one_each()
        columns = user_columns(one_each, self.posterior(one_each), self.strength)
        del columns["n_votes"]
        return columns

    def comparisons(self, prefs: Source) -> Any:
        """One row per comparison, in the type of table that the votes came in.

        Columns: model_a, model_b (empty where comparisons have labels instead of models), strength (how
        often an attentive user prefers A), std_err (null where the strength is given, or not determined by
        the votes), n_votes, wins_a. Under `PerItem` strengths also prob_a (probability that A's answer is the
        better one), consensus and prob_consensus; strength and std_err are then posterior.

        Raises
        ------
        ModelError
            As in `posterior`.
        """
        source = self._source("fit.comparisons", prefs)
        return as_frame(self.comparison_columns(source), table_of(source).frame, nullable=("std_err",))

    def comparison_columns(self, prefs: Source) -> dict[str, np.ndarray]:
        """The columns of `comparisons`, as arrays."""
        items = None
        if self.strength.items_are_latent and isinstance(prefs, Preferences):
            items = believed(prefs, self.prior, self.strength, self.behavior).items
        return comparison_columns(self.strength, self.standard_errors(), table_of(prefs), items)

    def leaderboard(self, prefs: Source, *, level: float = 0.95) -> Any:
        """One row per model, strongest first, in the type of table that the votes came in.

        Columns: model, strength (log-odds), std_err, lower, upper (the interval of probability `level`; null
        where there is none), n_votes, rank, best_rank and worst_rank (its interval), ordinary_strength (plain
        Bradley–Terry, unadjusted), `component` (connected component of the comparisons: ranks are within a
        component).

        Where strengths differ by context, a first column `context`: rows are the overall ranking (null), then
        the ranking in each context, that of most votes first.

        Raises
        ------
        ModelError
            When the strengths are not `BradleyTerry`; and as in `posterior`.

        Notes
        -----
        Standard errors and intervals are of relative strengths: an error of the common scale, which changes
        no order, is not in them, so that they exist where the scale is open. The intervals of ranks hold all
        together, with probability `level`, also for models that are nearly equal; whether two models differ
        says `compare`.

        An overall strength is a mean over the contexts of the fit, and its interval is of that mean. In a
        context without votes on it a model is taken to lie around its own strength with a standard deviation
        of ``l2_context ** -0.5``, so that the interval of a model in few contexts is wide.

        Examples
        --------
        >>> import emjax
        >>> sim = emjax.simulate(0, n_users=300, votes_per_user=40, strengths={"ant": 1, "bee": 0, "cat": -1})
        >>> fit = emjax.fit_em(sim.preferences, emjax.Beta())
        >>> fit.leaderboard(sim.preferences)["model"].to_pylist()
        ['ant', 'bee', 'cat']
        """
        table = table_of(self._source("fit.leaderboard", prefs))
        columns = self.leaderboard_columns(table, level=level)
        return as_frame(columns, table.frame, nullable=NULLABLE)

    def compare(self, a: str, b: str, *, level: float = 0.95) -> Difference:
        """How much stronger model `a` is than model `b`, and the probability that it is stronger.

        Parameters
        ----------
        a, b
            Names of two models; with strengths by context, names such as ``"ant in code"``.
        level
            Probability of the interval.

        Returns
        -------
        Difference
            ``estimate``, ``std_err``, ``lower``, ``upper`` in log-odds, and ``probability``.

        Raises
        ------
        ModelError
            When the strengths are not `BradleyTerry`, there is no such model, or no votes connect the two.

        Notes
        -----
        By a normal approximation, apart from the common scale of all strengths. Two models chosen because
        they are next to each other on the leaderboard were not chosen at random: over many such pairs the
        intervals of ranks are right, and this probability is not.

        Examples
        --------
        >>> import emjax
        >>> sim = emjax.simulate(0, n_users=300, votes_per_user=40, strengths={"ant": 1, "bee": 0, "cat": -1})
        >>> fit = emjax.fit_em(sim.preferences, emjax.Beta())
        >>> round(fit.compare("ant", "bee").probability, 3)
        1.0
        """
        return compared(self.strength, self.standard_errors(level=level), a, b)

    def leaderboard_columns(self, table: ComparisonTable, *, level: float = 0.95) -> dict[str, np.ndarray]:
        """The columns of `leaderboard`, as arrays, for the comparisons of `prefs.table`."""
        penalised = None
        if getattr(self.strength, "l2_context", None) is not None:
            penalised = self.standard_errors(include_prior=True, level=level)
        se = self.standard_errors(level=level)
        return leaderboard_columns(self.strength, se, table, penalised)

    def covariates(self, *, level: float = 0.95) -> Any:
        """One row per covariate, as a pyarrow table: what it does to the log-odds with which users prefer A.

        Columns: covariate, effect (log-odds per `unit`), std_err, lower, upper (the interval of probability
        `level`), unit (the root mean square of its differences, in units of the column, or of its logarithm).

        Raises
        ------
        ModelError
            When the votes were read without covariates.

        Examples
        --------
        >>> import emjax, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> length, user = rng.normal(0, 100, 3000), rng.integers(0, 100, 3000)
        >>> won = rng.random(3000) < 1 / (1 + np.exp(-length / 100))
        >>> pairs = [["ant", "bee"], ["bee", "cat"], ["cat", "ant"]] * 1000
        >>> prefs = emjax.Preferences.from_votes(user, pairs, won, covariates={"length": length})
        >>> fit = emjax.fit_em(prefs, emjax.TwoPoint())
        >>> fit.covariates()["effect"].to_pylist()[0] > 0.5
        True
        """
        return as_frame(self.covariate_columns(level=level), "arrays", nullable=("std_err", "lower", "upper"))

    def covariate_columns(self, *, level: float = 0.95) -> dict[str, np.ndarray]:
        """The columns of `covariates`, as arrays."""
        return covariate_columns(self.strength, self.standard_errors(level=level))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write `fit.json` and `curvature.npz` to a folder; `emjax.load_fit` reads them back.

        Everything but the votes is kept; what was known of users before goes into `prior_users.parquet`, what
        `RewardNetwork` and `MonotoneReward` know of answers into `strength.npz`. The folder is made if need
        be. A fit that was saved there is replaced, file by file, each of them whole.

        Parameters
        ----------
        folder
            New, empty, or one that holds a fit saved by this method.
        overwrite
            Write to any other folder, too: what `emjax fit` wrote there is removed, for its tables are of
            another fit; other files stay. A file that no fit wrote is never replaced.

        Raises
        ------
        ModelError
            When prior, strength or behavior are of a class that is not registered (`emjax.register`).
        OutputError
            When the folder cannot be written, or holds something else.

        Examples
        --------
        >>> import emjax, tempfile
        >>> prefs = emjax.Preferences.from_counts([9, 5, 8], [10, 10, 10])
        >>> fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(path.name for path in fit.save(folder).iterdir())
        ['curvature.npz', 'fit.json']
        """
        folder, arrays = Path(folder), None
        check_saved(self.prior, self.strength, self.behavior)
        if isinstance(self.strength, ByAnswer):
            if self.strength.unsaved is not None:
                raise OutputError(self.strength.unsaved)
            arrays = self.strength.arrays()
        text = json.dumps(self.summary(), indent=1, ensure_ascii=False, allow_nan=False)
        try:
            check_save_folder(folder, overwrite=overwrite)
            folder.mkdir(parents=True, exist_ok=True)
            curvature = {f.name: getattr(self.curvature, f.name) for f in dataclasses.fields(Curvature)}
            curvature["names"] = np.array(self.curvature.names, dtype=np.str_)
            write_whole(folder / "curvature.npz", lambda file: _write_arrays(file, curvature))
            # Of another fit, if there is one; a folder without fit.json is known to be incomplete.
            for name in reversed([name for name in OUTPUT if name != "curvature.npz"]):
                (folder / name).unlink(missing_ok=True)
            if self.prior_users is not None:
                write_anchor_votes(self.prior_users, folder / PRIOR_USERS)
            if arrays is not None:
                write_whole(folder / "strength.npz", lambda file: _write_arrays(file, arrays))
            write_whole(folder / "fit.json", lambda file: file.write(text.encode()))
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from None
        return folder

    def summary(self) -> dict[str, Any]:
        """The content of `fit.json`: plain numbers and strings, as docs/files describes them."""
        se = self.standard_errors()
        return {
            "format": FORMAT,
            "version": VERSION,
            "emjax": version("emjax"),
            "prior": to_plain(self.prior),
            "strength": to_plain(self.strength),
            "behavior": to_plain(self.behavior),
            "log_likelihood": self.log_likelihood,
            "trace": self.trace.tolist(),
            "em_steps": self.em_steps,
            "newton_steps": self.newton_steps,
            "converged": self.converged,
            "outcome": self.outcome,
            "message": self.message,
            "gap": _or_null(self.gap),
            "tol": self.tol,
            "parameters": [
                {
                    "name": e.name,
                    "estimate": e.estimate,
                    "std_err": _or_null(e.std_err),
                    "lower": _or_null(e.lower),
                    "upper": _or_null(e.upper),
                    "note": e.note,
                }
                for e in se
            ],
            "identifiability": {
                "identified": self.identified.identified,
                "rank": self.identified.rank,
                "n_parameters": self.identified.n_parameters,
                "condition": self.identified.condition,
                "findings": [dataclasses.asdict(f) for f in self.identified.findings],
            },
            "attentiveness": describe(self.prior),
            "data": self.data,
            "prior_users": None if self.prior_users is None else PRIOR_USERS,
        }

    @cached_property
    def _moments(self) -> tuple[float, float]:
        with jax.enable_x64(True):
            mean, sd = moments(self.prior)
            return float(mean), float(sd)

    def __repr__(self) -> str:
        return self.text()

    def text(self, leaderboard: Sequence[str] | None = None) -> str:
        """What `print(fit)` shows; with other lines in place of the strengths of models, if they are given.

        Examples
        --------
        >>> import emjax
        >>> prefs = emjax.Preferences.from_counts([9, 5, 8], [10, 10, 10])
        >>> fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8))
        >>> fit.text() == repr(fit)
        True
        """
        data, (mean, sd) = self.data, self._moments
        lines = [
            f"{type(self.prior).__name__} prior, {type(self.strength).__name__} strength: "
            f"{counted(data['n_votes'], 'vote')}, {counted(data['n_users'], 'user')}, "
            f"{counted(data['n_comparisons'], 'comparison')}",
            f"attentiveness over users: mean {mean:.3f}, sd {sd:.3f}"
            f"{' (on an assumed scale: see the notes)' if self.identified.open_scale else ''}; "
            f"log-likelihood {self.log_likelihood:.3f}",
        ]
        lines += [f"  {line}" for line in parameter_lines(self.strength, self.standard_errors(), leaderboard)]
        lines.append(self.message)
        lines += [f"{f.level}: {f.what}" for f in self.identified.findings]
        return "\n".join(lines)


def _write_arrays(file: Any, arrays: dict[str, Any]) -> None:
    np.savez_compressed(file, **arrays)


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def only_accuracy(known: AnchorVotes | None) -> float | None:
    """How often an attentive user answers gold questions rightly; None without them, or where they differ."""
    return float(known.accuracy[0]) if known is not None and len(known.accuracy) == 1 else None


def summarise_votes(table: ComparisonTable) -> dict[str, Any]:
    """The numbers about the votes that a fit keeps."""
    known = table.anchor_votes
    return {
        "n_users": int(table.n_users),
        "n_votes": float(table.n_votes),
        "n_comparisons": int(table.n_comparisons),
        "n_models": len(table.models) if table.has_models else None,
        "left_out": {what: float(count) for what, count in table.left_out},
        "n_votes_known_besides": 0.0 if known is None else known.n_votes,
        "gold_accuracy": only_accuracy(known),
        "source": None,
    }
