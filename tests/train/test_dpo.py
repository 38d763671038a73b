"""The trainer against TRL's own, bit for bit, and against the loss of every pair worked out by hand."""

import importlib.util

import numpy as np
import pytest

from emjax.errors import ModelError, VotesError
from emjax.train.losses import AttentiveLoss, SoftLabelLoss, UnbiasedLoss, WeightedLoss

if importlib.util.find_spec("trl") is None:
    pytest.skip("TRL is not installed: pip install 'emjax[train]'", allow_module_level=True)

import peft
import tiny_models
import torch
import trl

from emjax.train.dpo import AttentiveDPOTrainer

# TRL 1.16 calls transformers 5.23 by names that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed in v6:FutureWarning")

LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
LOSSES = (AttentiveLoss(), WeightedLoss(), SoftLabelLoss(), UnbiasedLoss(most=0.3))


@pytest.fixture(scope="module")
def pairs():
    """Ten pairs: batches of four leave an uneven last one."""
    rng = np.random.default_rng(5)
    eta, weight, soft = rng.uniform(0, 1, 10), rng.uniform(0, 2, 10), rng.uniform(0.5, 1, 10)
    return tiny_models.rows(10, rng, attentiveness=eta, weight=weight, soft_label=soft)


def filled(rows, value):
    """The same pairs with one value in all the columns that a loss reads."""
    names = ("attentiveness", "weight", "soft_label")
    rows = rows.remove_columns(names)
    for name in names:
        rows = rows.add_column(name, [value] * len(rows))
    return rows


def make(rows, folder, loss=None, *, lora=False, double=False, **changed):
    """A trainer on a tiny Llama: ours with a loss, TRL's without."""
    model, reference = tiny_models.llama(0), tiny_models.llama(0 if lora else 1)
    if double:
        model, reference = model.double(), reference.double()
    if lora:
        reference, changed = None, {"peft_config": peft.LoraConfig(**LORA)} | changed
    elif changed.get("precompute_ref_log_probs"):
        reference = None
    trainer_only = {"peft_config", "eval_dataset", "data_collator"}
    own = {name: changed.pop(name) for name in trainer_only & set(changed)}
    given = own | {
        "model": model,
        "ref_model": reference,
        "args": tiny_models.options(folder, **changed),
        "train_dataset": rows,
        "processing_class": tiny_models.tokenizer(),
    }
    return trl.DPOTrainer(**given) if loss is None else AttentiveDPOTrainer(**given, loss=loss)


def trained(trainer):
    trainer.train()
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[k], expected[k]) for k in found)


# ------------------------------------------------------------------------------------------- TRL's own, again


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"lora": True},
        {"precompute_ref_log_probs": True},
        {"lora": True, "precompute_ref_log_probs": True, "gradient_accumulation_steps": 3},
    ],
    ids=["plain", "accumulated", "lora", "precomputed", "all"],
)
def test_weights_of_one_give_the_stock_trainers_parameters_to_the_last_bit(pairs, tmp_path, how):
    rows = filled(pairs, 1.0)
    how = {"num_train_epochs": 2} | how
    stock = trained(make(rows, tmp_path, **how))
    start = make(rows, tmp_path, WeightedLoss(), **how)
    before = {name: value.clone() for name, value in start.model.state_dict().items()}
    weighted = trained(start)
    assert not same(before, weighted)
    assert same(weighted, stock)
    assert same(trained(make(rows, tmp_path, AttentiveLoss(), **how)), stock)


def test_soft_labels_of_one_are_the_stock_loss(pairs, tmp_path):
    rows = filled(pairs, 1.0)
    stock = trained(make(rows, tmp_path))
    for loss in (SoftLabelLoss(), UnbiasedLoss()):
        found = trained(make(rows, tmp_path, loss))
        for name in stock:
            torch.testing.assert_close(found[name], stock[name], rtol=1e-4, atol=1e-6)


def test_metrics_are_those_of_the_stock_trainer(pairs, tmp_path):
    stock, ours = make(pairs, tmp_path), make(pairs, tmp_path, AttentiveLoss())
    for trainer in (stock, ours):
        trainer.train()
    first, mine = stock.state.log_history[0], ours.state.log_history[0]
    assert set(first) == set(mine)
    for name in set(first) - {"loss", "grad_norm"}:
        assert mine[name] == first[name], name
    assert mine["loss"] != first["loss"]


def test_precomputed_reference_log_probabilities_are_used(pairs, tmp_path):
    first = make(pairs, tmp_path, AttentiveLoss(), lora=True, precompute_ref_log_probs=True)
    names = ("ref_chosen_logps", "ref_rejected_logps")
    rows = pairs
    for name in names:
        rows = rows.add_column(name, first.train_dataset[name][:])
    second = make(rows, tmp_path, AttentiveLoss(), lora=True)
    second.compute_ref_log_probs = None  # it would be an error to ask
    assert same(trained(second), trained(first))


def test_the_policy_is_run_once_per_batch(pairs, tmp_path):
    for how in ({"precompute_ref_log_probs": True}, {}):
        trainer = make(pairs, tmp_path, AttentiveLoss(), **how)
        calls = []
        trainer.model.register_forward_hook(lambda *given, calls=calls: calls.append(1))
        batch = next(iter(trainer.get_train_dataloader()))
        trainer.compute_loss(trainer.model, batch)
        assert len(calls) == 1


# ---------------------------------------------------------------------------------------------------- by hand
# Models are in double precision here. TRL takes the logarithms of probabilities in single precision all the
# same, so that a loss agrees to six digits.


def log_probability(model, prompt, answer):
    """log P(answer | prompt), token by token, from the plain logits."""
    tokens = torch.tensor([prompt + answer])
    logits = model.lm_head(model.model(tokens).last_hidden_state)[0]
    total = 0.0
    for at in range(len(prompt), len(prompt) + len(answer)):
        total = total + logits[at - 1].log_softmax(-1)[tokens[0, at]]
    return total


def by_hand(loss, p, row):
    """Losses as the papers write them, from the policy's probability p of preferring chosen."""
    if isinstance(loss, AttentiveLoss):
        eta = row["attentiveness"]
        return -torch.log(eta * p + (1 - eta) / 2)
    if isinstance(loss, WeightedLoss):
        return -row["weight"] * torch.log(p)
    s = row["soft_label"]
    if isinstance(loss, SoftLabelLoss):
        return -s * torch.log(p) - (1 - s) * torch.log(1 - p)
    e = min(1 - s, loss.most)
    return -((1 - e) * torch.log(p) - e * torch.log(1 - p)) / (1 - 2 * e)


def gradient_by_hand(loss, rows, beta, model, reference, groups):
    """Mean over groups of the mean loss over a group, and its gradient."""
    total = 0.0
    for group in groups:
        for i in group:
            row = rows[i]
            margin = 0.0
            for side, sign in (("chosen_ids", 1), ("rejected_ids", -1)):
                ours = log_probability(model, row["prompt_ids"], row[side])
                with torch.no_grad():
                    theirs = log_probability(reference, row["prompt_ids"], row[side])
                margin = margin + sign * (ours - theirs)
            total = total + by_hand(loss, torch.sigmoid(beta * margin), row) / len(group) / len(groups)
    total.backward()
    return float(total.detach()), {name: value.grad for name, value in model.named_parameters()}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_gradient_is_that_of_every_pair_by_hand(pairs, tmp_path, loss):
    trainer = make(pairs, tmp_path, loss, double=True)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    found = trainer.compute_loss(trainer.model, batch)
    found.backward()
    model, reference = tiny_models.llama(0).double(), tiny_models.llama(1).double()
    value, expected = gradient_by_hand(loss, trainer.train_dataset, 0.1, model, reference, [range(4)])
    assert float(found.detach()) == pytest.approx(value, rel=1e-5)
    for name, parameter in trainer.model.named_parameters():
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-5, atol=1e-5 * scale, msg=name)


def test_accumulated_batches_count_alike_even_if_one_is_short(pairs, tmp_path):
    rows = pairs.select(range(6))
    trainer = make(
        rows, tmp_path, WeightedLoss(), double=True, gradient_accumulation_steps=2, optim="sgd",
        learning_rate=0.5, max_grad_norm=0.0, train_sampling_strategy="sequential", weight_decay=0.0,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 1
    model, reference = tiny_models.llama(0).double(), tiny_models.llama(1).double()
    groups = [range(4), range(4, 6)]
    _, slope = gradient_by_hand(WeightedLoss(), trainer.train_dataset, 0.1, model, reference, groups)
    for name, parameter in model.named_parameters():
        moved = trainer.model.get_parameter(name).detach() - parameter.detach()
        expected = -0.5 * slope[name]
        scale = float(expected.abs().max())
        torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-5 * scale, msg=name)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_losses_stay_finite_at_every_margin(loss):
    margin = torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4] * 3, dtype=torch.float64, requires_grad=True)
    signal = torch.tensor([0.0] * 5 + [0.5] * 5 + [1.0] * 5, dtype=torch.float64)
    value = loss.of(margin, signal)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(margin.grad).all()
    if isinstance(loss, AttentiveLoss):
        assert (margin.grad[:5] == 0).all(), "a careless vote is silent"
        # the gradient is DPO's, times the probability that the vote was an attentive one
        p = torch.sigmoid(margin.detach())
        share = 0.5 * p / (0.5 * p + 0.25)
        expected = -(share * torch.sigmoid(-margin.detach()))[5:10]
        torch.testing.assert_close(margin.grad[5:10], expected, rtol=1e-10, atol=1e-300)
        ordinary = -torch.sigmoid(-margin.detach()[10:])
        torch.testing.assert_close(margin.grad[10:], ordinary, rtol=1e-10, atol=1e-300)
    if isinstance(loss, WeightedLoss):
        assert (value[:5] == 0).all()


# ---------------------------------------------------------------------------------------- evaluation, streams


def test_evaluation_reads_the_column_too(pairs, tmp_path):
    how = {"lora": True, "precompute_ref_log_probs": True}
    trainer = make(filled(pairs, 0.0), tmp_path, AttentiveLoss(), eval_dataset=filled(pairs, 0.0), **how)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(np.log(2))
    half = trainer.evaluate(filled(pairs, 0.5))
    assert half["eval_loss"] == pytest.approx(-np.log(0.25 + 0.25))
    assert "eval_rewards/margins" in half
    with pytest.raises(VotesError, match="evaluation data has no column 'attentiveness'"):
        trainer.evaluate(pairs.remove_columns("attentiveness"))


def test_a_stream_trains_alike(pairs, tmp_path):
    how = {"max_steps": 2, "train_sampling_strategy": "sequential"}
    whole = trained(make(pairs, tmp_path, AttentiveLoss(), **how))
    assert same(trained(make(pairs.to_iterable_dataset(), tmp_path, AttentiveLoss(), **how)), whole)


def test_a_stream_is_checked_as_it_comes(pairs, tmp_path):
    rows = filled(pairs, 1.5).to_iterable_dataset()
    with pytest.raises(VotesError, match="4 of 4 values in column 'attentiveness' of a batch"):
        make(rows, tmp_path, AttentiveLoss(), max_steps=1).train()


def test_margins_are_those_of_the_metrics(pairs, tmp_path):
    trainer = make(pairs, tmp_path, AttentiveLoss(), max_steps=1)
    trainer.train()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    found = trainer.margins(batch)
    assert found.shape == (4,) and trainer.model.training
    trainer._metrics["train"].clear()
    trainer.compute_loss(trainer.model, batch)
    assert trainer._metrics["train"]["rewards/margins"][0] == pytest.approx(float(found.mean()), rel=1e-5)


# --------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "option",
    [
        {"loss_type": ["ipo"]},
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]},
        {"loss_weights": [0.5]},
        {"label_smoothing": 0.1},
        {"f_divergence_type": "js_divergence"},
        {"ld_alpha": 0.5},
        {"use_weighting": True},
        {"use_liger_kernel": True},
        {"padding_free": True},
    ],
    ids=lambda option: next(iter(option)),
)
def test_options_that_the_loss_would_ignore_are_refused(pairs, tmp_path, option):
    if importlib.util.find_spec("liger_kernel") is None and "use_liger_kernel" in option:
        args = tiny_models.options(tmp_path)
        args.use_liger_kernel = True  # the option itself asks for a package that is not installed
    else:
        args = tiny_models.options(tmp_path, **option)
    with pytest.raises(ModelError, match=next(iter(option))):
        AttentiveDPOTrainer(
            tiny_models.llama(), args=args, train_dataset=pairs, processing_class=tiny_models.tokenizer()
        )


@pytest.mark.parametrize(
    "loss, value, message",
    [
        (AttentiveLoss(), 1.2, "2 of 10 values in column 'attentiveness' of the training data"),
        (AttentiveLoss(), None, "are not between 0 and 1: first None in row 3"),
        (SoftLabelLoss(), float("nan"), "first nan in row 3"),
        (WeightedLoss(), -1.0, "are not 0 or more: first -1.0 in row 3"),
        (WeightedLoss(), float("inf"), "are not 0 or more: first inf in row 3"),
        (WeightedLoss(), "much", "does not hold numbers"),
    ],
)
def test_values_out_of_range_are_counted(pairs, tmp_path, loss, value, message):
    rows = pairs.remove_columns(loss.column)
    values = [1.0, 0.0, 1.0, value, 0.5, value, 1.0, 1.0, 1.0, 1.0]
    values = [str(x) for x in values] if isinstance(value, str) else values
    with pytest.raises(VotesError, match=message):
        make(rows.add_column(loss.column, values), tmp_path, loss)


def test_a_missing_column_is_named(pairs, tmp_path):
    with pytest.raises(VotesError, match="training data has no column 'eta', which AttentiveLoss reads"):
        make(pairs, tmp_path, AttentiveLoss(column="eta"))
    far = {"far": pairs.remove_columns("weight")}
    with pytest.raises(VotesError, match="the evaluation data 'far' has no column 'weight'"):
        make(pairs, tmp_path, WeightedLoss(), eval_dataset=far)


def test_images_are_refused(pairs, tmp_path):
    with pytest.raises(ModelError, match="has images"):
        make(pairs.add_column("image", ["x"] * 10), tmp_path, AttentiveLoss())


def test_the_unbiased_loss_needs_a_largest_flip_rate_below_one_half():
    with pytest.raises(ModelError, match=r"0 <= most < 0\.5; got 0\.5"):
        UnbiasedLoss(most=0.5)
