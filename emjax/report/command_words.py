"""Messages and remedies in the words of the command line: which option is meant for what Python has."""

import re

# What the command line calls the classes of priors and strengths.
_CLASSES = {
    "TwoPoint": "two-point",
    "Points": "points",
    "Grid": "grid",
    "Beta": "beta",
    "Known": "known",
    "Shared": "shared",
    "PerPair": "per-pair",
    "PerItem": "per-item",
    "BradleyTerry": "bradley-terry",
    "RewardNetwork": "learned (--features)",
    "MonotoneReward": "learned (--scores)",
}
_NUMBER = r"([^,()]+?)(?:\.0)?"
_POLICIES = (
    (rf"TopFraction\(fraction={_NUMBER}, of='votes'\)", r"top:\1"),
    (rf"TopFraction\(fraction={_NUMBER}, of='users'\)", r"top:\1:users"),
    (r"TopFraction\(([\d.]+)\)", r"top:\1"),
    (rf"Threshold\(at={_NUMBER}\)", r"threshold:\1"),
    (rf"Credible\(at={_NUMBER}, probability={_NUMBER}\)", r"credible:\1:\2"),
    (rf"Likely\(at={_NUMBER}\)", r"likely:\1"),
    (rf"Flip\(at={_NUMBER}\)", r"flip:\1"),
    (r"MaxInformation\(\)", "max-information"),
    (r"Weights\(\)", "weights"),
    (r"Weights\(by='vote'\)", "weights:vote"),
    (r"SoftLabels\(\)", "soft-labels"),
    (r"SoftLabels\(by='vote'\)", "soft-labels:vote"),
    (r"Attentive\(\)", "attentive"),
    (r"TopFraction needs a share", "top:SHARE needs a share"),
    (r'TopFraction\(of\) is "votes" or "users"', "top:SHARE:OF needs votes or users as OF"),
    (r"(?:Threshold|Likely|Flip|Credible)\((?:at|probability)\) lies", "a number of the policy lies"),
)
# Messages are written for Python; here is how a terminal, and a page that a command writes, say the same.
COMMAND_WORDS = (
    *_POLICIES,
    (r"BradleyTerry\(l2_context\) strengths", "bradley-terry strengths with --context"),
    *((rf"\b{name} (prior|strengths?)\b", rf"{word} \1") for name, word in _CLASSES.items()),
    (r"AttentiveOrRandom\(ties=Davidson\(\)\)", "--ties model"),
    (
        r"give behavior=--ties model, or read them with ties=\"drop\"",
        "fit them with --ties model, or leave it out",
    ),
    (r"AttentiveOrRandom\(guess=([\d.]+)\)", r"--guess \1"),
    (r"Points\(k\) needs a whole number k", "points:K needs a whole number K"),
    (r"Grid needs at least", "grid:G needs at least"),
    (
        r"Beta\(a, b\) needs a and b between (.+); got a=(.+), b=(.+)\.",
        r"beta:A,B needs A and B between \1; got \2,\3.",
    ),
    (
        r"TwoPoint needs 0 <= low < high <= 1 and 0 < weight < 1; got low=(.+), high=(.+), weight=(.+)\.",
        r"two-point:LOW,HIGH,SHARE needs 0 <= LOW < HIGH <= 1 and 0 < SHARE < 1; got \1,\2,\3.",
    ),
    (r", or say low=-1 for users", ", or give --contrarians for users"),
    (
        r"vote_features=\['COLUMN', \.\.\.\] or covariates=\['COLUMN', \.\.\.\] \(command line: [^)]*\)",
        "--vote-features COLUMNS or --covariates COLUMNS",
    ),
    (r"is named by vote_features and by covariates", "is named by --vote-features and by --covariates"),
    (r"add ('each:[^']*') to vote_features", r"add \1 to --vote-features"),
    (r"\(guess=, command line: --guess\)", "(--guess RATE)"),
    (r"read both with the same ties and shown_first", "give both the same --ties and --shown-first"),
    (r"\(gold questions, prior_users\)", "(--gold, --prior-users)"),
    (r"Read the votes without gold, or fit", "Leave these options out, or fit"),
    (r"Known\(\.\.\.\)", "--strength known:0.74"),
    (r"\bcovariates names '", "--covariates names '"),
    (r"\bvote_features names '", "--vote-features names '"),
    (r"prior_users name no user", "--prior-users names no user"),
    (r"gold_accuracy is one number", "--gold-accuracy is one number"),
    (r"overwrite=True", "--overwrite"),
    (r"name the pair: (Known\(.*\))", r"name the pair, from Python: strength=emjax.\1"),
    (r"format='[\w-]+' is not known \(command line: (--format [\w-]+)\)", r"\1 is not known"),
    (r"\w+=(?:'[^']*'|[A-Z]+) \(command line: (--[\w-]+ [^)]*)\)", r"\1"),
    (r"\bcontext=COLUMN", "--context COLUMN"),
    (r"\bshown_first=COLUMN", "--shown-first COLUMN"),
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
    (r'ties="(\w+)"', r"--ties \1"),
    (r"Shared\(\)", "--strength shared"),
    (r"PerPair\(\)", "--strength per-pair"),
    (r"(separator|encoding)=('[^']*') (cannot be used|is not known)", r"--\1 \2 \3"),
    (r"empty_winner='tie' or 'drop'", r"--empty-winner tie or --empty-winner drop"),
    (r"or read without strict=True", r"or leave --strict out"),
    (
        r"empty_winner='(\w+)' is not known: give .*",
        r"--empty-winner \1 is not known: give refuse, tie or drop",
    ),
    (r"scale '([\w-]*)' is not known", r"--scale \1 is not understood"),
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
    >>> in_command_words("TopFraction(fraction=0.7, of='votes') keeps 7 of 10 votes")
    'top:0.7 keeps 7 of 10 votes'
    """
    for pattern, words in COMMAND_WORDS:
        text = re.sub(pattern, words, text)
    return text
