"""Damaged and odd files: whatever they hold is read, or refused in one line with nothing half-written."""

import gzip
import io
import json
import random
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import emjax
from emjax.errors import VotesError

COLUMNS = ("user", "model_a", "model_b", "winner")
ROWS = [
    (1, "alpha", "beta", "model_a"),
    (1, "beta", "alpha", "tie"),
    (2, "alpha", "beta", "B"),
    (3, "gamma", "alpha", "gamma"),
    (2, "beta", "gamma", "left"),
]
# What may stand in a cell instead.
CELLS = (
    *(
        None,
        "",
        " ",
        "\u00a0",
        "nan",
        "NULL",
        "12.0",
        12.5,
        2**70,
        -1,
        True,
        "é",
        "\ud83d\ude00",
        '"',
        "a,b;c",
    ),
    *(
        "01-05-2024",
        "BBD05AE7-0000-4000-8000-000000000000",
        "\x00",
        "x\ny",
        [1, 2],
        {"a": 1},
        "'",
        "=1+1",
        1e300,
    ),
)
BYTES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\r",
    b'"',
    b",",
    b";",
    b"\t",
    b"{",
    b"]",
    b"\x80",
)


def drawn_rows(rng: random.Random) -> list[list]:
    """Votes, a few cells of which hold something else."""
    rows = [list(rng.choice(ROWS)) for _ in range(rng.randint(0, 6))]
    for _ in range(rng.randint(0, 2)):
        if rows:
            rng.choice(rows)[rng.randrange(4)] = rng.choice(CELLS)
    return rows


def csv_of(rows: list[list], rng: random.Random) -> bytes:
    separator, end = rng.choice(",;\t|"), rng.choice(["\n", "\r\n"])
    lines = [
        separator.join(COLUMNS),
        *(separator.join("" if c is None else str(c) for c in row) for row in rows),
    ]
    if rng.random() < 0.2:
        lines.insert(0, f"sep={separator}")
    if rng.random() < 0.3 and len(lines) > 1:
        place = rng.randrange(1, len(lines))
        lines[place] = rng.choice(
            [lines[place] + separator + "more", lines[place].rpartition(separator)[0], ""]
        )
    text = end.join(lines) + rng.choice(["", end])
    return text.encode(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]), "replace")


def jsonl_of(rows: list[list], rng: random.Random) -> bytes:
    lines = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    lines += [rng.choice(["[1, 2]", "3", "null", "{}", "", '{"user": 1'])] * (rng.random() < 0.3)
    rng.shuffle(lines)
    return "\n".join(lines).encode()


def json_of(rows: list[list], rng: random.Random) -> bytes:
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    objects += [rng.choice([3, None, [1], {}])] * (rng.random() < 0.2)
    return json.dumps(objects, indent=rng.choice([None, 1])).encode()


def parquet_of(rows: list[list], rng: random.Random) -> bytes:
    columns = {}
    for name, values in zip(COLUMNS, zip(*rows, strict=True) if rows else [[]] * 4, strict=True):
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            columns[name] = pa.array([str(value).encode("utf-8", "replace").decode() for value in values])
    if rng.random() < 0.2:
        columns["winner"] = pa.array([[value] for value in columns["winner"].to_pylist()])
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The file cut short, or with other bytes somewhere."""
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        place = rng.randint(0, len(content))
        behind = content[place + rng.randint(0, 3) :] if rng.random() < 0.7 else b""
        content = content[:place] + rng.choice(BYTES) + behind
    return content


def drawn_file(seed: int, folder: Path, corpus: list[Path]) -> Path:
    rng = random.Random(seed)
    if corpus and rng.random() < 0.3:
        path = rng.choice(corpus)
        content, suffix = path.read_bytes(), path.suffix
    else:
        suffix, make = rng.choice(
            [
                *((".csv", csv_of), (".tsv", csv_of), (".jsonl", jsonl_of)),
                *((".json", json_of), (".parquet", parquet_of)),
            ]
        )
        content = make(drawn_rows(rng), rng)
    content = damaged(content, rng)
    if suffix != ".parquet" and rng.random() < 0.1:
        suffix, content = f"{suffix}.gz", damaged(gzip.compress(content), rng)
    path = folder / f"{seed}{suffix}"
    path.write_bytes(content)
    return path


def refusal(use: Callable[[Path], object], path: Path) -> str | None:
    """The message where emjax refuses a file; any other error is one of this test."""
    try:
        use(path)
    except VotesError as error:
        return str(error)
    return None


def tried(seeds: range, folder: Path, corpus: list[Path]) -> tuple[int, int]:
    """How many files were read and refused; anything else that happens is an error of the test."""
    read = refused = 0
    for seed in seeds:
        path, out = drawn_file(seed, folder, corpus), folder / f"out-{seed}"
        for use in (emjax.read_votes, partial(emjax.aggregate, out=out, shards=1)):
            message = refusal(use, path)
            read, refused = read + (message is None), refused + (message is not None)
            assert message is None or ("\n" not in message.strip() and len(message) < 2000), (seed, message)
        # what was counted is kept, so that the same command goes on from there
        kept = {found.name for found in out.glob("*")}
        assert kept <= {"manifest.json", "counted", "shard-00000.parquet"}, seed
        path.unlink()
    return read, refused


@pytest.fixture(scope="module")
def corpus(root) -> list[Path]:
    """Files of other tools, where they lie beside the repository."""
    found = (root.parent / "shared" / "cases").rglob("*")
    return sorted(path for path in found if path.suffix in (".csv", ".jsonl", ".parquet"))


def test_some_odd_files(tmp_path, corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        read, refused = tried(range(60), tmp_path, corpus)
    assert read > 10 and refused > 10


@pytest.mark.long
def test_two_thousand_odd_files(tmp_path, corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        read, refused = tried(range(1_000, 3_000), tmp_path, corpus)
    assert read > 300 and refused > 300
