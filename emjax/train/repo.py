"""RE-PO: attentiveness re-estimated during training, from how the policy agrees with the votes."""

from typing import Any

import numpy as np

from emjax.errors import ModelError, VotesError
from emjax.model.prior import Attentiveness
from emjax.model.prior_beta import Beta
from emjax.train.dpo import ROW, AttentiveDPOTrainer
from emjax.train.losses import AttentiveLoss
from emjax.train.policy_e_step import Reliability, reliability
from emjax.train.torch_import import torch, transformers

AS_PUBLISHED = 0.8  # a reliability (chance that a label is right) of 0.9 is an attentiveness of 2·0.9 − 1


class ReliabilityInTheLoop(transformers.TrainerCallback):
    """Between epochs, re-estimates what `AttentiveLoss` reads from the policy's own margins.

    The manner of RE-PO, for comparison with attentiveness estimated without the policy. Pass it to the
    trainer with `trainer.add_callback(...)`.

    Parameters
    ----------
    trainer : AttentiveDPOTrainer
        With an `AttentiveLoss`, one process, and training data that is not a stream.
    prior
        Distribution of attentiveness over users, such as `fit.prior`; by default uniform, Beta(1, 1).
    user
        Column of the training data that names each row's user.
    start
        Attentiveness of everyone in the first epoch; by default what the column says, which is the estimate
        from the votes alone. RE-PO as published starts at a reliability of 0.9: give `AS_PUBLISHED`, 0.8.

    Attributes
    ----------
    history : list of Reliability
        One for each epoch after which attentiveness was re-estimated; the last epoch is not one of them.

    Raises
    ------
    ModelError
        The trainer is another, has another loss, a stream, or several processes.
    VotesError
        There is no column of users.

    Notes
    -----
    Each re-estimation is a forward pass over the training data, and one of the reference model unless its
    log-probabilities were precomputed. Source: Cao et al. (arXiv 2509.24159), whose reliability is (1 + η)/2;
    here η has a prior, and is a posterior mean without the vote itself.

    Examples
    --------
    >>> trainer = AttentiveDPOTrainer("my-model", train_dataset=rows)  # doctest: +SKIP
    >>> trainer.add_callback(ReliabilityInTheLoop(trainer, fit.prior))  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    def __init__(
        self,
        trainer: AttentiveDPOTrainer,
        prior: Attentiveness | None = None,
        *,
        user: str = "user",
        start: float | None = None,
    ):
        if not isinstance(trainer.pair_loss, AttentiveLoss):
            raise ModelError(
                f"ReliabilityInTheLoop re-estimates what AttentiveLoss reads; this trainer has "
                f"{type(trainer.pair_loss).__name__}."
            )
        if trainer.accelerator.num_processes > 1:
            raise ModelError("ReliabilityInTheLoop runs in one process: start it without a launcher.")
        rows: Any = trainer.train_dataset
        if not hasattr(rows, "__len__"):
            raise ModelError("ReliabilityInTheLoop cannot use a stream: give a data set.")
        if user not in rows.column_names:
            raise VotesError(f"the training data has no column {user!r}: name that of the users with user=.")
        if start is not None and not 0 <= start <= 1:
            raise ModelError(f"start is an attentiveness between 0 and 1; got {start!r}.")
        self.trainer, self.prior = trainer, Beta(1, 1) if prior is None else prior
        self.users = np.asarray(rows[user][:])
        self.history: list[Reliability] = []
        first = rows[trainer.pair_loss.column][:] if start is None else [start] * len(rows)
        trainer.by_row = torch.tensor(first, dtype=torch.float32)
        if ROW not in rows.column_names:
            trainer.train_dataset = rows.add_column(ROW, list(range(len(rows))))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Re-estimate, unless training ends here."""
        if state.global_step >= state.max_steps:
            return
        self.history.append(reliability(self.margins(), self.users, self.prior))
        self.trainer.by_row = torch.tensor(self.history[-1].by_vote, dtype=torch.float32)

    def margins(self) -> np.ndarray:
        """(n,) βh of every training row under the policy as it is now."""
        rows: Any = self.trainer.train_dataset
        names = ("prompt_ids", "chosen_ids", "rejected_ids", "ref_chosen_logps", "ref_rejected_logps")
        carried = [name for name in (*names, self.trainer.pair_loss.column) if name in rows.column_names]
        rows, size = rows.select_columns(carried), self.trainer.args.per_device_train_batch_size
        found = []
        for start in range(0, len(rows), size):
            batch = [rows[i] for i in range(start, min(start + size, len(rows)))]
            found.append(self.trainer.margins(self.trainer.data_collator(batch)).float().cpu().numpy())
        return np.concatenate(found)
