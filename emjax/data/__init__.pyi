"""The public names of `emjax.data`, each with the module that it is imported from when it is first used."""

from .cell_counts import CellCounts
from .patterns_in_engine import join_cells, read_cells
from .preferences import Preferences
from .read import read_votes
from .response_patterns import Cells, distinct
from .write import join_users, write_parquet

__all__ = [
    "CellCounts",
    "Cells",
    "Preferences",
    "distinct",
    "join_cells",
    "join_users",
    "read_cells",
    "read_votes",
    "write_parquet",
]
