"""How long a person waits for a first answer: whole processes, with nothing compiled before and later.

`emjax --help`, `import emjax`, `emjax fit` of a crowd's 9,000 votes, `emjax demo`; beside them ordinary
Bradley–Terry by evalica. `--before FOLDER` measures another checkout of emjax in turn with this one, on the
same machine. For the fit: how many XLA programs are compiled, and where the seconds go.
"""

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import record

VOTES = record.ROOT.parent / "shared" / "data" / "llmfao" / "crowd-comparisons.csv"
COLUMNS = ("--user", "worker", "--model-a", "left", "--model-b", "right", "--winner", "winner")
PEER = """
import sys, pandas, evalica
votes = pandas.read_csv(sys.argv[1])
outcome = {"left": evalica.Winner.X, "right": evalica.Winner.Y, "tie": evalica.Winner.Draw}
print(evalica.bradley_terry(votes["left"], votes["right"], votes["winner"].map(outcome)).scores.head(3))
"""
# In a process of its own, in the library: imports, reading, the fit, users and leaderboard, the folder.
PARTS = """
import json, sys, tempfile, time, warnings
from collections import Counter
begin, spent, heard = time.perf_counter(), {}, Counter()
def lap(name):
    global begin
    now = time.perf_counter()
    spent[name], begin = now - begin, now
import jax, emjax
emjax.fit_em, emjax.read_votes
lap("import")
def count(event, seconds, **_):
    heard[event.rpartition("/")[2]] += seconds
    heard["programs"] += event.endswith("backend_compile_duration")
jax.monitoring.register_event_duration_secs_listener(count)
warnings.simplefilter("ignore")
told = dict(user="worker", model_a="left", model_b="right", winner="winner")
votes = emjax.read_votes(sys.argv[1], **told)
lap("read")
fit = emjax.fit_em(votes, emjax.Grid())
fit.users(votes), fit.leaderboard(votes)
lap("first fit")
programs, trace = heard["programs"], heard["jaxpr_trace_duration"] + heard["jaxpr_to_mlir_module_duration"]
compiling = heard["backend_compile_duration"]
emjax.fit_em(votes, emjax.Grid())
lap("the same fit again")
try:
    from emjax.report.write_fit_folder import write_output
except ImportError:
    from emjax.report.output import write_output
with tempfile.TemporaryDirectory() as folder:
    write_output(fit, votes, folder + "/out")
lap("report")
print(json.dumps(spent | {"trace": trace, "compile": compiling, "programs": programs}))
"""


def run(words, checkout, cache=None):
    """Seconds of a process of one checkout, and what it printed last."""
    given = {name: text for name, text in os.environ.items() if not name.startswith(("JAX_", "EMJAX_"))}
    given |= {"PYTHONPATH": str(checkout), "EMJAX_COMPILATION_CACHE": "off" if cache is None else str(cache)}
    begin = time.perf_counter()
    # Not in a checkout: Python looks for packages in the folder it is started in, before anywhere else.
    with tempfile.TemporaryDirectory() as elsewhere:
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, env=given, cwd=elsewhere, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words[:4]))} failed: {done.stderr.strip().splitlines()[-1]}")
    return seconds, done.stdout.strip().splitlines()[-1:]


def several(words, checkouts, repeats, folder, *, writes=False, cache=False, cold=False):
    """Seconds of each checkout, in turn; a cold run finds nothing compiled, a warm one what it compiled."""
    seconds = {name: [] for name in checkouts}
    for number in range(repeats + (cache and not cold)):
        for name, checkout in checkouts.items():
            kept = folder / f"cache-{name}" if cache else None
            if cold:
                shutil.rmtree(kept, ignore_errors=True)
            written = ["--out", folder / f"out-{name}", "--overwrite"] if writes else []
            took = run([*words, *written], checkout, kept)[0]
            if cold or not cache or number:
                seconds[name].append(took)
    return seconds


def tell(out, what, seconds, target=None):
    """The least and the median of several runs, and the ratio to the other checkout where there is one."""
    middle = {name: statistics.median(took) for name, took in seconds.items()}
    for name, took in seconds.items():
        shown = f"{min(took):.2f} s, median {middle[name]:.2f} s of {len(took)}"
        if name == "now" and "before" in middle:
            shown += f"; {middle['now'] / middle['before']:.2f} of before"
        aim = (
            {}
            if name != "now" or target is None
            else {"target": f"≤ {target:g} s", "met": min(took) <= target}
        )
        out.figure(f"{what}, {name}", min(took), shown, **aim)
    out.keep(what, seconds)


def main():
    """Measure and record."""
    given = record.options(
        "first_answer",
        __doc__,
        "python -m benchmarks.first_answer --before ../emjax-0.1",
        ("--before", {"type": Path, "help": "another checkout of emjax, measured in turn with this one"}),
        ("--repeats", {"type": int, "default": 5, "help": "runs of each process (default: 5)"}),
    )
    out = record.Record("first_answer", given)
    repeats = 1 if given.smoke else given.repeats
    checkouts = {"now": record.ROOT} | ({"before": given.before.resolve()} if given.before else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tell(out, "`emjax --help`", several(["-m", "emjax", "--help"], checkouts, repeats, folder), 0.4)
        tell(out, "`import emjax`", several(["-c", "import emjax"], checkouts, repeats, folder))
        fits(out, checkouts, repeats, folder)
        if not given.smoke:
            for more, what, target in (([], "", 10), (["--users", "20000"], " of 20,000 users", None)):
                demo = ["-m", "emjax", "demo", *more]
                cold = several(demo, checkouts, repeats, folder, writes=True, cache=True, cold=True)
                tell(out, f"`emjax demo`{what}, nothing compiled before", cold, target)
    out.write()


def fits(out, checkouts, repeats, folder):
    """`emjax fit` of a crowd's votes, first and later, its parts, and a peer."""
    what = "`emjax fit` of 9,000 votes on 59 models"
    if not VOTES.is_file():
        out.not_run(what, "the crowd's votes (llmfao) are not beside this checkout", "≤ 5 s")
        return
    fit = ["-m", "emjax", "fit", VOTES, *COLUMNS]
    cold = several(fit, checkouts, repeats, folder, writes=True, cache=True, cold=True)
    tell(out, f"{what}, nothing compiled before", cold, 5)
    later = several(fit, checkouts, repeats, folder, writes=True, cache=True)
    tell(out, f"{what}, later", later, 2)
    for name, checkout in checkouts.items():
        parts = json.loads(run(["-c", PARTS, VOTES], checkout)[1][0])
        programs = int(parts.pop("programs"))
        most = {"target": "≤ 15", "met": programs <= 15} if name == "now" else {}
        out.figure(f"programs of `fit_em`, `users`, `leaderboard`, {name}", programs, f"{programs}", **most)
        listed = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in parts.items())
        out.figure(f"where the time goes in the library, {name}", parts, listed)
    if importlib.util.find_spec("evalica") and importlib.util.find_spec("pandas"):
        peer = [run(["-c", PEER, VOTES], record.ROOT)[0] for _ in range(repeats)]
        tell(out, "ordinary Bradley–Terry by evalica, whole process", {"evalica": peer})
    else:
        out.not_run("ordinary Bradley–Terry by evalica, whole process", "evalica is not installed")


if __name__ == "__main__":
    main()
