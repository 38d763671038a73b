"""The E-step with a policy's preferences, against sums written out; the loop that runs it between epochs."""

import importlib.util

import numpy as np
import pytest

import emjax
from emjax.errors import ModelError, VotesError
from emjax.train.losses import AttentiveLoss, WeightedLoss
from emjax.train.policy_e_step import reliability


def means(margins, nodes, weights):
    """Posterior mean of η by the definition, in products of probabilities."""
    p = 1 / (1 + np.exp(-np.asarray(margins, float)))
    joint = weights * np.prod(nodes * p[:, None] + (1 - nodes) / 2, axis=0)
    return (joint @ nodes) / joint.sum(), joint.sum()


@pytest.mark.parametrize(
    "prior, nodes, weights",
    [
        (emjax.TwoPoint(0.1, 0.9, 0.3), np.array([0.1, 0.9]), np.array([0.7, 0.3])),
        (emjax.Grid(7), np.linspace(0, 1, 7), np.full(7, 1 / 7)),
    ],
    ids=["two-point", "grid"],
)
def test_the_e_step_is_bayes_rule(prior, nodes, weights):
    rng = np.random.default_rng(0)
    margins, users = rng.normal(0, 3, 60), rng.choice(["c", "a", "b", "z"], 60)
    found = reliability(margins, users, prior)
    assert list(found.users) == ["a", "b", "c", "z"]
    total = 0.0
    for name, value in zip(found.users, found.attentiveness, strict=True):
        expected, likelihood = means(margins[users == name], nodes, weights)
        assert value == pytest.approx(expected, rel=1e-10)
        total += np.log(likelihood)
    assert found.log_likelihood == pytest.approx(total, rel=1e-10)
    for i in range(60):
        others = (users == users[i]) & (np.arange(60) != i)
        expected, _ = means(margins[others], nodes, weights)
        assert found.by_vote[i] == pytest.approx(expected, rel=1e-10)
    assert found.by_vote.dtype == np.float64


def test_margins_of_zero_give_the_prior_mean():
    """At the reference all margins are 0, and every vote has probability one half."""
    found = reliability(np.zeros(5), [1, 1, 2, 2, 3], emjax.Beta(3, 5))
    np.testing.assert_allclose(found.attentiveness, 3 / 8, rtol=1e-8)
    np.testing.assert_allclose(found.by_vote, 3 / 8, rtol=1e-8)


def test_a_single_vote_left_out_gives_the_prior_mean():
    found = reliability([30.0, -30.0], ["a", "b"], emjax.TwoPoint(0.2, 0.8, 0.5))
    np.testing.assert_allclose(found.by_vote, 0.5)
    assert found.attentiveness[0] > 0.5 > found.attentiveness[1]


def test_many_votes_do_not_underflow():
    found = reliability(np.full(5000, 8.0), np.zeros(5000, int), emjax.Grid(11))
    assert found.attentiveness[0] == pytest.approx(1.0, abs=1e-6)


def test_bad_margins_are_counted():
    with pytest.raises(VotesError, match="2 of 3 margins are not finite, first in row 1"):
        reliability([0.0, np.nan, np.inf], [1, 1, 1], emjax.Beta(1, 1))
    with pytest.raises(VotesError, match="one margin and one user for each vote"):
        reliability([0.0], [1, 2], emjax.Beta(1, 1))


# ------------------------------------------------------------------------------------------------ in the loop

needs_trl = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install 'emjax[train]'"
)
quiet = pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed in v6:FutureWarning")


def loop(folder, loss=None, *, epochs=2, columns=None, data=None, **settings):
    import peft
    import tiny_models

    from emjax.train.dpo import AttentiveDPOTrainer
    from emjax.train.repo import ReliabilityInTheLoop

    rng = np.random.default_rng(2)
    rows = tiny_models.rows(
        10, rng, user=["a", "b"] * 5, attentiveness=rng.uniform(0.2, 0.9, 10), weight=[1.0] * 10
    )
    rows = rows if columns is None else rows.select_columns(columns)
    trainer = AttentiveDPOTrainer(
        model=tiny_models.llama(0),
        args=tiny_models.options(folder, num_train_epochs=epochs, beta=1.0, **(data or {})),
        train_dataset=rows,
        processing_class=tiny_models.tokenizer(),
        peft_config=peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]),
        loss=loss,
    )
    callback = ReliabilityInTheLoop(trainer, emjax.Beta(2, 2), **settings)
    trainer.add_callback(callback)
    return trainer, callback


@needs_trl
@quiet
def test_attentiveness_is_re_estimated_between_epochs(tmp_path):
    import torch

    trainer, callback = loop(tmp_path, epochs=3)
    first = trainer.by_row.clone()
    read = []
    compute = trainer.pair_loss.of
    object.__setattr__(trainer, "pair_loss", Watching(compute, read))
    trainer.train()
    assert len(callback.history) == 2, "the last epoch has no next one"
    assert len(read) == 9
    epochs = [np.sort(np.concatenate(read[3 * i : 3 * i + 3])) for i in range(3)]
    np.testing.assert_array_equal(epochs[0], np.sort(first.numpy()))
    for i in (1, 2):
        expected = callback.history[i - 1].by_vote.astype(np.float32)
        np.testing.assert_array_equal(epochs[i], np.sort(expected))
    assert not np.allclose(callback.history[0].by_vote, callback.history[1].by_vote)
    last = reliability(callback.margins(), np.array(["a", "b"] * 5), emjax.Beta(2, 2))
    assert torch.isfinite(torch.tensor(last.by_vote)).all()


class Watching(AttentiveLoss):
    """The attentive loss, noting what it is given."""

    def __init__(self, of, read):
        object.__setattr__(self, "column", "attentiveness")
        object.__setattr__(self, "inner", of)
        object.__setattr__(self, "read", read)

    def of(self, margin, signal):
        self.read.append(signal.numpy().copy())
        return self.inner(margin, signal)


@needs_trl
@quiet
def test_margins_follow_the_rows(tmp_path):
    trainer, callback = loop(tmp_path, data={"max_steps": 2})
    np.testing.assert_allclose(callback.margins(), 0.0, atol=1e-4)
    trainer.train()
    whole = callback.margins()
    alone = [
        trainer.margins(trainer.data_collator([trainer.train_dataset[i]])).item() for i in range(len(whole))
    ]
    np.testing.assert_allclose(whole, alone, atol=1e-4)
    assert np.abs(whole).max() > 1e-3


@needs_trl
@quiet
def test_the_published_start_ignores_the_column(tmp_path):
    from emjax.train.repo import AS_PUBLISHED

    trainer, _ = loop(tmp_path, start=AS_PUBLISHED)
    assert trainer.by_row.tolist() == pytest.approx([0.8] * 10)


@needs_trl
@quiet
def test_unsupported_trainers_are_refused(tmp_path):
    with pytest.raises(ModelError, match="this trainer has WeightedLoss"):
        loop(tmp_path, WeightedLoss())
    texts = ["prompt", "chosen", "rejected", "attentiveness"]
    with pytest.raises(VotesError, match="no column 'user'"):
        loop(tmp_path, columns=texts)
    with pytest.raises(ModelError, match="between 0 and 1; got 9"):
        loop(tmp_path, start=9)
