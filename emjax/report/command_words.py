"""Findings and remedies in the words of the command line: which option is meant where Python has a class."""

import re

# Findings are written for Python; here is how a page that a command writes says the same.
COMMAND_WORDS = (
    (r"raise max_steps, or go on from fit\.prior and fit\.strength", "raise --max-steps"),
    (r"Look at fit\.identifiability\(\), or raise tol", "Look at what is not determined, or raise --tol"),
    (r"say Known\(that\)", "give --strength known:0.74, with that in place of 0.74"),
    (r"with nodes where such users are, or take", "with more points, as --prior grid:127, or take"),
    (r"Known\(([\d.]+)\)", r"--strength known:\1"),
    (r"BradleyTerry\(\)", "--strength bradley-terry"),
    (r"under BradleyTerry\b", "with --strength bradley-terry"),
    (r"Shared takes", "--strength shared takes"),
    (
        r"a Beta or a coarser Grid is smoother",
        "--prior beta or a coarser grid, as --prior grid:16, is smoother",
    ),
    (r"TwoPoint\(\)", "--prior two-point"),
    (r"Grid\(\)", "--prior grid"),
    (r"Beta\(\)", "--prior beta"),
    (r"max_steps=([\d,]+)", r"--max-steps \1"),
    (r"emjax\.cross_validate", "emjax.cross_validate (in Python)"),
)


def in_command_words(text: str) -> str:
    """A sentence about a fit, with the options of the command line in place of Python.

    A limit: what only Python can do is left as it is.

    Examples
    --------
    >>> in_command_words("Use Grid(), or raise max_steps=2000.")
    'Use --prior grid, or raise --max-steps 2000.'
    """
    for pattern, words in COMMAND_WORDS:
        text = re.sub(pattern, words, text)
    return text
