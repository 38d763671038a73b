"""Numbers that stand in where nobody says; apart from the code, so that `--help` can show them quickly."""

ACCURACY = 0.95  # how often an attentive user answers a gold question rightly
