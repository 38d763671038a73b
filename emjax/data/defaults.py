"""Default values that the help of the command line shows, kept apart so that it needs no other module."""

ACCURACY = 0.95  # how often an attentive user answers a gold question rightly, unless given
