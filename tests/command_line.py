"""The command line, as a person runs it. Most commands are forks of one process that has imported it all.

A fork is the command itself, without the seconds that imports take. `EMJAX` and `environment()` are for tests
that need a process of its own: a terminal, a signal, the cache of compiled programs.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

EMJAX = [sys.executable, "-W", "error", "-m", "emjax"]  # warnings of other packages are errors

_SERVER = """
import gc, importlib.util, json, os, pkgutil, signal, sys, traceback, warnings
import emjax.cli, flatbuffers, jax.export, pandas
if importlib.util.find_spec("typer._adapters"):
    importlib.import_module("typer._adapters")
for module in pkgutil.iter_modules(emjax.cli.__path__, "emjax.cli."):
    importlib.import_module(module.name)
import emjax.cli.app, emjax.report.fit_page, emjax.report.write_fit_folder
[getattr(emjax, name) for name in ("fit_em", "load_fit", "read_votes")]
gc.freeze()  # or collecting would copy all that a fork shares with this process
for line in sys.stdin:
    words, folder, out, err = json.loads(line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a process with threads, as NumPy's are, warns of being forked
        child = os.fork()
    if not child:
        signal.alarm(600)  # a command that hangs ends, with an exit code that no test expects
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["emjax", *words]
        try:
            emjax.cli.app.main()  # leaves by itself
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


@cache
def scratch() -> Path:
    """The folder for temporary files of all commands of this process."""
    return Path(tempfile.mkdtemp(prefix="emjax-scratch-", dir=os.environ.get("JAX_COMPILATION_CACHE_DIR")))


@cache
def environment() -> dict[str, str]:
    """80 columns, no colors, temporary files in a folder of their own, traced programs in one for all."""
    own = {"COLUMNS": "80", "TMPDIR": str(scratch())}
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        own["EMJAX_COMPILATION_CACHE"] = str(Path(os.environ["JAX_COMPILATION_CACHE_DIR"], "traced"))
    return {name: text for name, text in os.environ.items() if name != "FORCE_COLOR"} | own


@cache
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", _SERVER]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment())


def emjax_cli(*words: object, cwd: Path, code: int = 0) -> CompletedProcess[str]:
    """Run `emjax WORDS` in a folder, to its exit code; no temporary file may stay. The finished process."""
    server, files = _server(), [scratch().with_name(f"{scratch().name}.{name}") for name in ("out", "err")]
    assert server.stdin is not None and server.stdout is not None
    print(json.dumps([list(map(str, words)), *map(str, [cwd, *files])]), file=server.stdin, flush=True)
    ended = int(server.stdout.readline())
    said, wrong = (file.read_text(encoding="utf-8") for file in files)
    assert ended == code, wrong or said
    assert os.listdir(scratch()) == []
    assert [path for path in cwd.rglob("*") if ".part" in path.name or ".emjax" in path.name] == []
    return CompletedProcess(["emjax", *map(str, words)], ended, said, wrong)
