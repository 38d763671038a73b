"""emjax: attentiveness of users and strengths of models, estimated from comparison votes by EM in JAX."""

import lazy_loader

__version__ = "0.1.0"

# The names are in __init__.pyi, which type checkers read too; nothing is imported before it is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
