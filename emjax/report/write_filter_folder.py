"""The output folder of `emjax filter`: annotated votes, users, training pairs; all of it, or nothing."""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from emjax.data.ids import as_ids, union_ids
from emjax.data.preferences import Preferences
from emjax.data.row_matching import VoteRows, opened_rows
from emjax.data.row_rules import RowRules
from emjax.data.text_check import pair_maker
from emjax.data.texts import find_texts, have_texts
from emjax.data.write import write_parquet
from emjax.decide.filter import Filtered
from emjax.errors import OutputError, VotesError
from emjax.report.output_folder import held_in, staged
from emjax.train.pairs import Written, decide_rows, write_rows

FORMAT, VERSION = "emjax-filter", 1
PAIRS_FOLDER = "dpo"
# filter.json comes last: a folder without it is known to be incomplete.
FILES = ("votes.parquet", "users.parquet", PAIRS_FOLDER, "report.html", "filter.json")


@dataclasses.dataclass(frozen=True)
class Familiar:
    """How well a fit knows the users of some votes.

    Attributes
    ----------
    unknown : int
        Users who are not in the fit.
    changed : int
        Users with more votes, or fewer, than in the fit.
    """

    unknown: int
    changed: int

    def notes(self) -> list[str]:
        """What a person should know of it."""
        said = []
        if self.unknown:
            said.append(
                f"{_users(self.unknown)} unknown to the fit: judged by their votes here, under the fitted "
                "prior"
            )
        if self.changed:
            said.append(
                f"{_users(self.changed)} with other numbers of votes here than in the fit: judged by their "
                "votes here alone"
            )
        return said


def familiar(fit_folder: str | Path, prefs: Preferences) -> Familiar | None:
    """Compare the users of `prefs` with those in the users.parquet of a fit; None if there is none."""
    path = Path(fit_folder) / "users.parquet"
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["user", "n_votes"])
        seen = as_ids(table.column("user").to_numpy(), "user")
        seen_votes = np.asarray(table.column("n_votes").to_numpy(), float)
    except (OSError, KeyError, VotesError, pyarrow.ArrowException):
        return None
    everyone, mine, theirs = union_ids(prefs.users, seen)
    votes, before = np.zeros(everyone.size), np.full(everyone.size, -1.0)
    votes[mine], before[theirs] = prefs.votes_by_user(), seen_votes
    before = before[mine]
    return Familiar(
        unknown=int((before < 0).sum()),
        changed=int(((before >= 0) & (np.abs(before - votes[mine]) > 1e-6)).sum()),
    )


def check_filtered_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Refuse, before any work is done, a folder that may not be written.

    Raises
    ------
    OutputError
        It holds something other than what `emjax filter` wrote, or that and `overwrite` is False, or it
        cannot be written.
    """
    folder = Path(folder)
    held = held_in(folder)
    if held and not _is_ours(folder):
        raise OutputError(f"{folder} holds other files: give a new folder.")
    if held and not overwrite:
        raise OutputError(
            f"{folder} holds other filtered votes: give a new folder, or --overwrite to replace it."
        )
    return folder


@contextmanager
def filtered_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder to write to, whose files are moved to `folder` in the end if nothing went wrong.

    Raises
    ------
    OutputError
        Something cannot be written; the folder is then as it was.
    """
    with staged(Path(folder), _move) as stage:
        yield stage


def write_filtered(
    stage: Path,
    source: Any,
    kept: Filtered,
    prefs: Preferences,
    *,
    columns: Mapping[str, str | None],
    texts: Mapping[str, str | None],
    rules: RowRules | None = None,
    text_files: Mapping[str, str | None] | None = None,
    resample: int | None = None,
    fit_folder: str | Path | None = None,
) -> dict[str, Any]:
    """Write all files of the folder, and give back what filter.json holds.

    Parameters
    ----------
    stage : path
        An empty folder.
    source : path, or list of paths
        The votes that `prefs` was read from.
    kept : Filtered
    columns, texts : mapping
        Names of columns that the caller gave: user, model_a, model_b, winner; prompt, response_a, response_b.
    rules : RowRules, optional
    text_files : mapping, optional
        Separator and encoding of files of text; both as `prefs` was read with.
    resample : int, optional
        As for `emjax.train.to_dpo_dataset`.
    fit_folder : path, optional
        Where the fit lies, which may know the users.

    Raises
    ------
    VotesError
        Texts are there, or named, and cannot be used.
    """
    with opened_rows(source, columns, rules=rules, **(text_files or {})) as rows:
        pairs, without = _pairs_folder(stage, rows, texts, needed=resample is not None)
        decided = decide_rows(rows, kept, prefs)
        written = write_rows(
            decided, votes=stage / "votes.parquet", pairs=pairs, texts=texts, resample=resample
        )
    users = kept.users
    write_parquet(
        {
            "user": users.id,
            "n_votes": users.n_votes,
            "kept": users.kept,
            "weight": users.weight,
            "attentiveness": users.attentiveness,
            "soft_label": users.soft_label,
        },
        stage / "users.parquet",
    )
    known = None if fit_folder is None else familiar(fit_folder, prefs)
    notes = [*kept.notes, *(known.notes() if known else []), *without, *_notes(kept, written, resample)]
    summary = _summary(kept, prefs, written, known, notes, resample)
    _page(summary, stage)
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
    (stage / "filter.json").write_text(text, encoding="utf-8")
    return summary


def _page(summary: dict[str, Any], stage: Path) -> None:
    from emjax.report.filter_page import filter_page

    (stage / "report.html").write_text(filter_page(summary), encoding="utf-8")


def _pairs_folder(
    stage: Path, rows: VoteRows, texts: Mapping[str, str | None], *, needed: bool
) -> tuple[Path | None, list[str]]:
    """Where training pairs go; None, and why, where there are no texts and none were asked for."""
    if needed or have_texts(rows.names, texts):
        asked = needed or any(name is not None for name in texts.values())
        try:
            find_texts(rows.names, texts)
        except VotesError as error:
            if asked:
                raise
            try:
                pair_maker(rows, texts)  # conversations hold their prompt
            except VotesError:
                return None, [f"no training pairs: {error}"]
        (stage / PAIRS_FOLDER).mkdir()
        return stage / PAIRS_FOLDER, []
    return None, ["no training pairs, since no columns hold the texts (prompt, response_a, response_b)"]


def _notes(kept: Filtered, written: Written, resample: int | None) -> list[str]:
    said = [f"the column {old} is called {new} here" for old, new in written.renamed]
    if written.pairs is not None and kept.policy.graded and resample is None:
        ways = "train with emjax.train.AttentiveDPOTrainer"
        ways = f"{ways}, or add --resample SEED" if kept.policy.weighs else ways
        said.append(
            f"trl dpo reads prompt, chosen and rejected only, and would count all votes equally: {ways}"
        )
    return said


def _summary(
    kept: Filtered,
    prefs: Preferences,
    written: Written,
    known: Familiar | None,
    notes: list[str],
    resample: int | None,
) -> dict[str, Any]:
    """The content of filter.json, as docs/filtering describes it."""
    curve = kept.curve.thinned()
    policy = {"type": type(kept.policy).__name__, **vars(kept.policy)}
    pairs = None
    if written.pairs is not None:
        pairs = {"folder": PAIRS_FOLDER, "n_pairs": written.pairs, "resampled_with_seed": resample}
    return {
        "format": FORMAT,
        "version": VERSION,
        "emjax": version("emjax"),
        "policy": policy,
        "policy_text": repr(kept.policy),
        "users": {
            "n": len(kept.users.id),
            "kept": kept.n_users_kept,
            "unknown_to_fit": known.unknown if known else None,
            "changed_since_fit": known.changed if known else None,
        },
        "votes": {
            "n": written.rows,
            "kept": written.rows_kept,
            "left_out": {**dict(written.left_out), **_users_left_out(prefs)},
        },
        "information_retained": None if kept.policy.by_vote else kept.information_retained,
        "label_accuracy": {"kept": kept.label_accuracy, "all": kept.label_accuracy_of_all},
        "open_scale": kept.open_scale or None,
        "attentiveness_max": {
            "users": float(kept.users.attentiveness.max()),
            "votes": float(kept.votes.attentiveness.max()),
        },
        "pairs": pairs,
        "notes": notes,
        "curve": {field.name: getattr(curve, field.name).tolist() for field in dataclasses.fields(curve)},
    }


def _users_left_out(prefs: Preferences) -> dict[str, int]:
    return {what: int(number) for what, number in prefs.left_out if what.startswith("users")}


def _users(number: int) -> str:
    return f"{number:,} user{'' if number == 1 else 's'}"


def _is_ours(folder: Path) -> bool:
    try:
        content = json.loads((folder / "filter.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(content, dict) and content.get("format") == FORMAT and not (folder / "fit.json").exists()
    )


def _move(stage: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "filter.json").unlink(missing_ok=True)
    for name in FILES:
        old = folder / name
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        if (stage / name).exists():
            (stage / name).replace(old)
        else:
            old.unlink(missing_ok=True)
