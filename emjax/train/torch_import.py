"""The only import of torch, transformers and TRL; where one is missing, the error names the extra.

Nothing imports it before training or generation is asked for, because loading takes seconds.
"""

from emjax.errors import MissingExtra

try:
    import torch
    import transformers
    import trl
except ImportError as missing:
    package = (missing.name or "trl").partition(".")[0]
    raise MissingExtra.needed(package, extra="train", what="emjax.train") from missing

__all__ = ["torch", "transformers", "trl"]
