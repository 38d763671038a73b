"""AttentiveDPOTrainer: TRL's own DPO trainer, with a loss for each pair that depends on its user."""

from contextlib import contextmanager
from typing import Any

from emjax.errors import ModelError, VotesError
from emjax.train.losses import AttentiveLoss, PairLoss
from emjax.train.torch_import import torch, trl

ROW = "emjax_row"  # number of a training row, carried where something re-estimates by row


class AttentiveDPOTrainer(trl.DPOTrainer):  # pyright: ignore[reportPrivateImportUsage] (trl exports lazily)
    """Direct preference optimisation with one number per pair: attentiveness, weight or soft label.

    Everything but the loss of a pair is TRL's: data preparation, reference model, metrics, saving. The
    policy's forward pass is the one that TRL makes; its log-probabilities are read from that pass.

    Parameters
    ----------
    model, train_dataset, args, ... : as in `trl.DPOTrainer`
        All of its parameters, under their names. Data to train on and to evaluate on need the column that
        `loss` reads.
    loss : PairLoss
        `AttentiveLoss()`, the default, `WeightedLoss()`, `SoftLabelLoss()` or `UnbiasedLoss()`.

    Raises
    ------
    VotesError
        The column is missing, or holds values out of range (how many, and the first).
    ModelError
        An option of `args` asks for another loss, or for what the loss here would ignore.
    MissingExtra
        On import, when torch, transformers or TRL is not installed.

    Notes
    -----
    The loss of a batch is the mean over its pairs, and gradient accumulation takes the mean over batches,
    both as in TRL: weights are not normalised by their sum. With weights of 1, or attentiveness of 1, the
    parameters are those of `trl.DPOTrainer`. Rows that have columns ref_chosen_logps and ref_rejected_logps
    bring the reference's log-probabilities along, and the reference model is not run. A limit: text only,
    and no auxiliary loss of experts. Written for TRL 1.16: uses `compute_loss` and `compute_ref_log_probs`.

    Examples
    --------
    >>> from emjax.train import AttentiveDPOTrainer, WeightedLoss
    >>> trainer = AttentiveDPOTrainer(  # doctest: +SKIP
    ...     "my-model", loss=WeightedLoss(), args=trl.DPOConfig("out"), train_dataset=rows
    ... )
    """

    def __init__(
        self,
        model: Any,
        ref_model: Any = None,
        args: Any = None,
        data_collator: Any = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        compute_metrics: Any = None,
        callbacks: Any = None,
        optimizers: tuple[Any, Any] = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        *,
        loss: PairLoss | None = None,
    ):
        self.pair_loss = AttentiveLoss() if loss is None else loss
        self.by_row: Any = None  # (n,) tensor in place of the column, once something re-estimates it
        if args is not None:
            refuse_options(args)
        for name, rows in _named(train_dataset, eval_dataset):
            _check_rows(rows, name, self.pair_loss)
        super().__init__(
            model=model,
            ref_model=ref_model,
            args=args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
            quantization_config=quantization_config,
            peft_config=peft_config,
        )
        if self.aux_loss_enabled:
            raise ModelError(
                "this model adds an auxiliary loss for its experts, which AttentiveDPOTrainer would leave "
                "out: set router_aux_loss_coef=0.0 to train without it."
            )
        self.data_collator = _Carrying(self.data_collator, self.pair_loss)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean loss of a batch's pairs; TRL's metrics are recorded on the way."""
        bare, signal = self._without_signal(inputs)
        first: list[Any] = []

        def watched(**given: Any) -> Any:
            outputs = model(**given)
            first.append(outputs)
            return outputs

        asked: Any = watched  # all that TRL does with the model is to call it
        with self._reference_in(bare):
            result: Any = super().compute_loss(asked, bare, return_outputs, num_items_in_batch)
        loss = self.pair_loss.of(self._margins(first[0].log_probs, bare), signal).mean()
        return (loss, result[1]) if return_outputs else loss

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        """Reference log-probabilities of a batch's chosen and rejected completions, (n,) each."""
        return super().compute_ref_log_probs(model, self._without_signal(inputs)[0])

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """TRL's evaluation; a dataset given here needs the column too."""
        for name, rows in _named(None, eval_dataset):
            _check_rows(rows, name, self.pair_loss)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def margins(self, inputs: Any) -> Any:
        """(n,) margins βh of one collated batch under the policy as it is now, without gradients."""
        bare = self._without_signal(self._prepare_inputs(inputs))[0]
        model: Any = self.model
        training = model.training
        model.eval()
        with torch.no_grad(), self.compute_loss_context_manager(), self._reference_in(bare):
            labels = bare["input_ids"].masked_fill(bare["completion_mask"] == 0, -100)
            given = {name: bare[name] for name in ("input_ids", "attention_mask")}
            outputs = model(**given, labels=labels, use_cache=False, fused_lm_head=True)
            found = self._margins(outputs.log_probs, bare)
        model.train(training)
        return found

    @contextmanager
    def _reference_in(self, inputs: dict[str, Any]) -> Any:
        """The reference's log-probabilities as part of the batch, where TRL expects precomputed ones."""
        before = self.precompute_ref_logps
        if "ref_chosen_logps" not in inputs:
            model = self.model if self.ref_model is None else self.ref_model
            chosen, rejected = super().compute_ref_log_probs(model, inputs)
            inputs |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        self.precompute_ref_logps = True
        try:
            yield
        finally:
            self.precompute_ref_logps = before

    def _margins(self, log_probs: Any, inputs: dict[str, Any]) -> Any:
        # Prompt-learning adapters put virtual tokens in front; the real ones are the last.
        length = inputs["completion_mask"].size(1) - 1
        chosen, rejected = log_probs[:, -length:].sum(dim=1).chunk(2, dim=0)
        return self.beta * ((chosen - inputs["ref_chosen_logps"]) - (rejected - inputs["ref_rejected_logps"]))

    def _without_signal(self, inputs: Any) -> tuple[dict[str, Any], Any]:
        """The batch as TRL knows it, and the number of each pair (None before any is carried)."""
        bare = dict(inputs)
        signal, row = bare.pop(self.pair_loss.column, None), bare.pop(ROW, None)
        if row is not None and self.by_row is not None:
            signal = self.by_row[row.cpu()].to(row.device)
        return bare, signal

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        carried = [name for name in (self.pair_loss.column, ROW) if name not in self._signature_columns]
        self._signature_columns += carried


class _Carrying:
    """A collator that also carries the column that the loss reads, and the number of the row."""

    def __init__(self, collate: Any, loss: PairLoss):
        self.collate, self.loss = collate, loss

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.collate(examples)
        column = self.loss.column
        if column not in examples[0]:
            raise VotesError(f"the rows have no column {column!r}, which {type(self.loss).__name__} reads.")
        values = [example[column] for example in examples]
        self.loss.check(values, "a batch")  # rows of a stream have not been checked before
        batch[column] = torch.tensor(values, dtype=torch.float32)
        if ROW in examples[0]:
            batch[ROW] = torch.tensor([example[ROW] for example in examples])
        return batch


def refuse_options(args: Any) -> None:
    """Raise ModelError for every option of a DPOConfig that the pair losses would have to ignore."""
    one_weight = args.loss_weights is None or list(args.loss_weights) == [1.0]
    refused = {
        f"loss_type={args.loss_type!r}": list(args.loss_type) != ["sigmoid"],
        f"loss_weights={args.loss_weights!r}": not one_weight,
        f"label_smoothing={args.label_smoothing}": args.label_smoothing != 0,
        f"f_divergence_type={args.f_divergence_type!r}": args.f_divergence_type != "reverse_kl",
        f"ld_alpha={args.ld_alpha}": args.ld_alpha is not None,
        "use_weighting=True": args.use_weighting,
        "use_liger_kernel=True": args.use_liger_kernel,
        "padding_free=True": args.padding_free,
    }
    found = [option for option, is_set in refused.items() if is_set]
    if found:
        raise ModelError(
            f"AttentiveDPOTrainer makes the loss of a pair itself and cannot honour {', '.join(found)}: "
            "leave the default. Soft labels come from SoftLabelLoss, weights from WeightedLoss."
        )


def _named(train: Any, evaluation: Any) -> list[tuple[str, Any]]:
    """Every dataset given, with the name that messages give it; text stands for one given before."""
    named = [] if train is None else [("the training data", train)]
    if isinstance(evaluation, dict):
        return named + [(f"the evaluation data {name!r}", rows) for name, rows in evaluation.items()]
    known = evaluation is None or isinstance(evaluation, str)
    return named if known else [*named, ("the evaluation data", evaluation)]


def _check_rows(rows: Any, name: str, loss: PairLoss) -> None:
    columns = rows.column_names
    if columns is None:  # a stream that does not know its columns
        columns = list(next(iter(rows)))
    if loss.column not in columns:
        raise VotesError(
            f"{name} has no column {loss.column!r}, which {type(loss).__name__} reads; its columns are "
            f"{', '.join(columns)}."
        )
    if {"image", "images"} & set(columns):
        raise ModelError(f"{name} has images: AttentiveDPOTrainer trains on text only.")
    if hasattr(rows, "__len__"):  # a stream is checked as it comes
        loss.check(rows[loss.column][:], name)
