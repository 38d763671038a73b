"""Messages and remedies in the words of the command line: which option is meant for what Python has."""

import re

# Messages are written for Python; here is how a terminal, and a page that a command writes, say the same.
COMMAND_WORDS = (
    (r"name the pair: (Known\(.*\))", r"name the pair, from Python: strength=emjax.\1"),
    (r"format='[\w-]+' is not known \(command line: (--format [\w-]+)\)", r"\1 is not known"),
    (r"\w+='[^']*' \(command line: (--[\w-]+ [^)]*)\)", r"\1"),
    (r"leave format out", "leave --format out"),
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
    (r'ties="half"', r"--ties half"),
    (r"(separator|encoding)=('[^']*') (cannot be used|is not known)", r"--\1 \2 \3"),
    (r"empty_winner='tie' or 'drop'", r"--empty-winner tie or --empty-winner drop"),
    (r"or read without strict=True", r"or leave --strict out"),
    (
        r"empty_winner='(\w+)' is not known: give .*",
        r"--empty-winner \1 is not known: give refuse, tie or drop",
    ),
    (r"raise votes_per_user or n_users", r"raise --votes-per-user or --users"),
    (r"read each format by itself, and add up with \+", r"write them in one format"),
    (r"\): give a higher memory_limit", r"): free some, or give emjax aggregate a higher --memory-limit"),
    (r"written with ties='(\w+)'", r"written with --ties \1"),
    (r"written with (context|gold)='(.+)'(?=: give a new folder)", r"written with --\1 \2"),
    (r"written with shown_first='(.+)'(?=: give a new folder)", r"written with --shown-first \1"),
    (r"written with gold_accuracy=", r"written with --gold-accuracy "),
    (r"written without (context|gold)(?=: give a new folder)", r"written without --\1"),
    (r"written without shown_first(?=: give a new folder)", r"written without --shown-first"),
    (r"other vote_features or covariates(?=: give)", r"other --vote-features or --covariates"),
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
