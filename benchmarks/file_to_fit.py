"""From files of votes to a fit, as whole processes, against the bare group-by of embedded engines.

One comparison in one parquet file: `emjax fit`. Many comparisons in many files, with memory held:
`emjax aggregate`. Both do the group-by too, so the ratio says what everything else costs: starting Python,
checks, compilation, the fit, users' posteriors, the page. Last, `emjax fit` on what was aggregated.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import record

MU, MODELS = 0.74, 20
_AT_ONCE = 1 << 20  # rows drawn and written at a time

# Each is timed inside, without the start of Python and imports: the floor is the engine's own work.
POLARS = """
import sys, time, polars
begin = time.perf_counter()
columns = ("user", "model_a", "model_b", "winner")
table = polars.scan_parquet(sys.argv[1]).group_by(*columns).len().collect(engine="streaming")
print(time.perf_counter() - begin, len(table))
"""
DUCKDB = """
import sys, time, duckdb
duckdb.execute("SET enable_progress_bar = false")
begin = time.perf_counter()
query = f"SELECT user, model_a, model_b, winner, count(*) FROM '{sys.argv[1]}' GROUP BY ALL"
table = duckdb.sql(query).to_arrow_table()
print(time.perf_counter() - begin, len(table))
"""
HELD = """
import sys, time, duckdb
engine = duckdb.connect(config={"memory_limit": sys.argv[3], "temp_directory": sys.argv[2] + ".spill"})
engine.execute("SET enable_progress_bar = false")
begin = time.perf_counter()
query = f"SELECT user, model_a, model_b, winner, count(*) FROM '{sys.argv[1]}/*.parquet' GROUP BY ALL"
engine.execute(f"COPY ({query}) TO '{sys.argv[2]}' (FORMAT parquet)")
print(time.perf_counter() - begin, engine.execute(f"SELECT count(*) FROM '{sys.argv[2]}'").fetchall()[0][0])
"""
PIECES = """
import json, sys, tempfile, time
spent, begin = {}, time.perf_counter()
def lap(name):
    global begin
    now = time.perf_counter()
    spent[name], begin = now - begin, now
import emjax, emjax.cli.app
from emjax.report.write_fit_folder import write_output
lap("imports")
prefs = emjax.read_votes(sys.argv[1])
lap("counting")
fit = emjax.fit_em(prefs, emjax.Grid())
lap("fit with compilation")
emjax.fit_em(prefs, emjax.Grid())
lap("the same fit once more")
with tempfile.TemporaryDirectory() as folder:
    write_output(fit, prefs, folder + "/out")
    lap("tables and page")
print(json.dumps(spent))
"""


def write_votes(path, seed, votes, users, models):
    """Votes of attentive and careless users, drawn a million at a time; users in no order."""
    rng = np.random.default_rng(seed)
    names = pa.array([f"model-{k:02d}" for k in range(models)])
    strengths = np.random.default_rng(0).normal(size=models)
    strengths[:2] = np.log(MU / (1 - MU)), 0.0
    eta = np.where(np.random.default_rng(1).random(users) < 0.6, 0.98, 0.4)
    words = pa.array(["model_a", "model_b"])
    schema = pa.schema(
        [("user", pa.int64()), *((name, pa.string()) for name in ("model_a", "model_b", "winner"))]
    )
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, votes, _AT_ONCE):
            n = min(_AT_ONCE, votes - start)
            user = rng.integers(users, size=n)
            first = rng.integers(models, size=n) if models > 2 else np.zeros(n, np.int64)
            second = (first + rng.integers(1, models, n)) % models
            attentive = rng.random(n) < eta[user]
            mu = 1.0 / (1.0 + np.exp(strengths[second] - strengths[first]))
            won = rng.random(n) < np.where(attentive, mu, 0.5)
            columns = [pa.array(user), names.take(pa.array(first)), names.take(pa.array(second))]
            columns.append(words.take(pa.array((~won).astype(np.int8))))
            file.write_table(pa.table(columns, schema=schema))


def process(*command, cache="off"):
    """Seconds of a whole process, its peak memory in bytes, its processor time, and what it printed."""
    given = os.environ | {"EMJAX_COMPILATION_CACHE": str(cache)}
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen([*map(str, command)], stdout=output, cwd=record.ROOT, env=given)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        output.seek(0)
        printed = output.read()
    if child.returncode:
        raise SystemExit(f"{command[:4]} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": seconds,
        "peak_bytes": used.ru_maxrss * unit,
        "processor": used.ru_utime + used.ru_stime,
        "printed": printed,
    }


def engine(name, script, *arguments, repeats):
    """The best of several runs of an engine's group-by, each in a process of its own."""
    runs = [process(sys.executable, "-c", script, *arguments) for _ in range(repeats)]
    for run in runs:
        run["inside"], run["groups"] = (float(x) for x in run.pop("printed").split())
    best = min(runs, key=lambda run: run["inside"])
    return best | {"engine": name, "all": [run["inside"] for run in runs]}


def shown(run, seconds):
    """Seconds and peak memory in words."""
    return f"{seconds:.2f} s, peak {run['peak_bytes'] / 1e9:.2f} GB"


def one_comparison(out, folder, votes, users, repeats):
    """`emjax fit` on one file, against the fastest bare group-by."""
    path = folder / "votes.parquet"
    write_votes(path, 0, votes, users, 2)
    title = f"one comparison, {votes:,} votes of {users:,} users"
    engines = [engine("duckdb", DUCKDB, path, repeats=repeats)]
    if importlib.util.find_spec("polars"):
        engines.append(engine("polars streaming", POLARS, path, repeats=repeats))
    else:
        out.not_run(f"{title}: bare group-by, polars streaming", "polars is not installed")
    for run in engines:
        out.figure(f"{title}: bare group-by, {run['engine']}", run["inside"], shown(run, run["inside"]))
    floor = min(run["inside"] for run in engines)
    fits, cache = {"first": [], "later": []}, folder / "programs"
    command = [sys.executable, "-m", "emjax", "fit", path, "--overwrite", "--out", folder / "fit"]
    for number in range(2 * repeats):
        when = "first" if number < repeats else "later"
        if when == "first":
            shutil.rmtree(cache, ignore_errors=True)
        fits[when].append(process(*command, cache=cache))
    for (when, runs), most in zip(fits.items(), (2.5, 1.8), strict=True):
        best = min(runs, key=lambda run: run["seconds"])
        what, ratio = f"{title}: `emjax fit`, whole process, {when}", best["seconds"] / floor
        out.figure(what, best["seconds"], shown(best, best["seconds"]))
        out.figure(
            f"{what}, over the fastest bare group-by", ratio, f"{ratio:.1f}×", f"≤ {most:g}×", ratio <= most
        )
    peak = max(run["peak_bytes"] for runs in fits.values() for run in runs)
    out.figure(
        f"{title}: peak memory of `emjax fit`", peak, f"{peak / 1e9:.2f} GB", "≤ 1.5 GB", peak <= 1.5e9
    )
    pieces = json.loads(process(sys.executable, "-c", PIECES, path)["printed"].splitlines()[-1])
    listed = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in pieces.items())
    out.figure(f"{title}: where the time goes, in a process of its own", pieces, listed)
    out.keep(
        "one comparison", {"engines": engines, "fits": fits, "pieces": pieces, "bytes": path.stat().st_size}
    )


def many_comparisons(out, folder, votes, users, files, limit):
    """`emjax aggregate` within a memory limit, against a bare group-by within it, result on disk in both."""
    source = folder / "many"
    source.mkdir()
    for number in range(files):
        write_votes(source / f"{number:03d}.parquet", number, votes // files, users, MODELS)
    title = f"{MODELS * (MODELS - 1) // 2} comparisons, {votes:,} votes in {files} files, {limit} of memory"
    bare = engine("duckdb", HELD, source, folder / "grouped.parquet", limit, repeats=1)
    out.figure(f"{title}: bare group-by to parquet, duckdb", bare["inside"], shown(bare, bare["inside"]))
    target = folder / "shards"
    made = process(
        sys.executable, "-m", "emjax", "aggregate", source, "--memory-limit", limit, "--out", target
    )
    out.figure(f"{title}: `emjax aggregate`, whole process", made["seconds"], shown(made, made["seconds"]))
    ratio = made["seconds"] / bare["inside"]
    out.figure(f"{title}: that over the bare group-by", ratio, f"{ratio:.1f}×", "≤ 3×", ratio <= 3)
    again = process(sys.executable, "-m", "emjax", "aggregate", source, "--out", target)
    out.figure(f"{title}: the same command, all being done", again["seconds"], f"{again['seconds']:.2f} s")
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    counted = manifest["n_votes"]
    out.figure(
        f"{title}: votes in the shards",
        counted,
        f"{counted:,.0f} of {manifest['n_users']:,} users in {len(manifest['shards'])} files",
        f"{votes:,}",
        counted == votes // files * files,
    )
    options = ["--prior", "two-point", "--out", folder / "many-fit"]
    fit = process(sys.executable, "-m", "emjax", "fit", target, *options)
    figure = f"{title}: `emjax fit --prior two-point` on the shards, whole process"
    out.figure(figure, fit["seconds"], shown(fit, fit["seconds"]))
    out.keep("many comparisons", {"bare": bare, "aggregate": made, "again": again, "fit": fit})


def main():
    given = record.options(
        "file_to_fit",
        __doc__,
        "python -m benchmarks.file_to_fit --votes 5000000 --users 100000 --many-votes 5000000",
        ("--votes", {"type": int, "default": 50_000_000, "help": "of one comparison"}),
        ("--users", {"type": int, "default": 1_000_000, "help": "of either"}),
        ("--many-votes", {"type": int, "default": 200_000_000, "help": "of many comparisons"}),
        ("--files", {"type": int, "default": 20, "help": "that they are in"}),
        ("--memory-limit", {"default": "4GB", "help": "for many comparisons"}),
        ("--repeats", {"type": int, "default": 3, "help": "of one comparison; the best counts"}),
        ("--folder", {"type": Path, "help": "where to keep the files meanwhile (default: the system's)"}),
    )
    if given.smoke:
        given.votes, given.users, given.many_votes, given.files, given.repeats = 20_000, 500, 20_000, 4, 1
        given.memory_limit = "200MB"
    out = record.Record("file_to_fit", given)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        one_comparison(out, Path(folder), given.votes, given.users, given.repeats)
        many_comparisons(out, Path(folder), given.many_votes, given.users, given.files, given.memory_limit)
    out.write()


if __name__ == "__main__":
    main()
