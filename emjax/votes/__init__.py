"""What was seen: tables and arrays of votes, counted; no probability here."""

from emjax.votes.cells import Cells, distinct
from emjax.votes.frames import join_users, read_votes, write_parquet
from emjax.votes.preferences import Preferences

__all__ = ["Cells", "Preferences", "distinct", "join_users", "read_votes", "write_parquet"]
