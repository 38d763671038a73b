"""Votes as tables and arrays: read, checked, counted; no probability here."""

import lazy_loader

# The names are in __init__.pyi, which type checkers read too; nothing is imported before it is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
