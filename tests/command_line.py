"""The command line as a process, as a person runs it."""

import subprocess
import sys


def emjax_cli(*words, cwd):
    """Run `emjax WORDS` in a folder, with warnings of other packages raised; the finished process."""
    command = [sys.executable, "-W", "error", "-m", "emjax", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
