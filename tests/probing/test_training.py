"""The batched grid is the same as heads trained one by one with torch's own optimizer, scheduler and stopping rule."""

import math

import pytest
import torch
from torch import nn

from musicssl.probing.heads.head_data import FrameCrops, Problem, Split
from musicssl.probing.heads.heads import MIXED, HeadSettings
from musicssl.probing.heads.training import train_heads
from musicssl.probing.kinds import get_kind

STATES, WIDTH, CLASSES = 3, 6, 4


def make_split(clips, seed, kind="multiclass", windows=1):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (clips,), generator=generator)
    targets = labels if kind in ("multiclass", "key") else nn.functional.one_hot(labels, CLASSES).float()
    tracks = torch.arange(clips).repeat_interleave(windows)
    features = torch.randn(clips * windows, STATES, WIDTH, generator=generator)
    features[torch.arange(len(tracks)), 1, labels[tracks]] += 1.5  # only state 1 knows the label
    return Split(features.half(), targets[tracks], tracks, targets, [f"track{i}" for i in range(clips)])


def make_problem(kind="multiclass", windows=1):
    train, validation, test = (make_split(n, s, kind, windows) for n, s in ((50, 0), (30, 1), (30, 2)))
    labels = [str(label) for label in range(CLASSES)]
    return Problem(get_kind(kind), "track", labels, ("0", "1", "2"), (1, 2), train, validation, test)


def settings(**changes):
    given = {"learning_rates": (1e-3, 5e-2), "seeds": (0, 1), "epochs": 12, "patience": 4, "plateau_patience": 1,
             "hidden_units": 16, "batch_size": 16}  # fmt: skip
    return HeadSettings(**(given | changes))


CPU = torch.device("cpu")


def one_by_one(problem, head, options, initial):
    """The same head as a plain torch loop: returns (best score, best epoch)."""
    model = nn.Sequential(nn.Linear(WIDTH, options.hidden_units), nn.ReLU(), nn.Linear(options.hidden_units, CLASSES))
    mix = nn.Parameter(initial["mix"].clone())
    with torch.no_grad():
        model[0].weight.copy_(initial["w1"].T), model[0].bias.copy_(initial["b1"][0])
        model[2].weight.copy_(initial["w2"].T), model[2].bias.copy_(initial["b2"][0])

    def view(split, index):
        features = split.features[index].float()
        if head.layer != MIXED:
            return features[:, int(head.layer)]
        return torch.einsum("s,bsd->bd", torch.softmax(mix, 0), features[:, 1:])

    optimizer = torch.optim.Adam([*model.parameters(), mix], lr=head.learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.5, options.plateau_patience)
    order = torch.Generator().manual_seed(head.seed)
    best, best_epoch = -math.inf, 0
    for epoch in range(1, options.epochs + 1):
        for index in torch.randperm(len(problem.train), generator=order).split(options.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(view(problem.train, index)), problem.train.targets[index]).backward()
            optimizer.step()
        with torch.no_grad():
            everything = torch.arange(len(problem.validation))
            hits = model(view(problem.validation, everything)).argmax(-1) == problem.validation.targets
        score = hits.double().mean().item()
        scheduler.step(score)
        if score > best:
            best, best_epoch = score, epoch
        if epoch - best_epoch >= options.patience:
            break
    return best, best_epoch


def test_grid_equals_heads_trained_one_by_one():
    problem, options = make_problem(), settings(dropout=0.0)
    trained = train_heads(problem, options, CPU)
    initial = trained.network.initial_weights(trained.heads, WIDTH, CLASSES)
    assert len(trained.heads) == (STATES + 1) * 2 * 2
    for row, head in enumerate(trained.heads):
        best, epoch = one_by_one(problem, head, options, {name: tensor[row] for name, tensor in initial.items()})
        assert trained.validation[row].item() == pytest.approx(best, abs=1e-6), head
        assert trained.best_epoch[row].item() == epoch, head


def test_the_state_that_knows_wins_and_stopped_heads_keep_their_best():
    problem = make_problem()
    trained = train_heads(problem, settings(epochs=40), CPU)
    best = trained.heads[int(trained.validation.argmax())]
    assert best.layer in ("1", MIXED)
    outputs = trained.predict(problem.validation, range(len(trained.heads)))
    assert torch.allclose(problem.validation_score(outputs).float(), trained.validation)


def test_parts_of_a_batch_give_the_same_result_as_the_whole():
    problem = make_problem()
    whole, parts = (
        train_heads(problem, settings(dropout=0.0, epochs=3, working_bytes=size), CPU) for size in (1 << 28, 1 << 12)
    )
    for name in whole.weights:
        assert torch.allclose(whole.weights[name], parts.weights[name], atol=1e-4)


def test_heads_judged_in_turns_have_the_same_scores(monkeypatch):
    problem = make_problem()
    together = train_heads(problem, settings(epochs=3), CPU)
    judged = []
    score = problem.validation_score
    monkeypatch.setattr(problem, "validation_score", lambda outputs: judged.append(len(outputs)) or score(outputs))
    of_one_head = 4 * len(problem.validation) * problem.num_outputs
    monkeypatch.setattr("musicssl.probing.heads.training.OUTPUT_BYTES", 5 * of_one_head)
    in_turns = train_heads(problem, settings(epochs=3), CPU)
    assert max(judged) == 5 and sum(judged) == 3 * len(together.heads)
    assert torch.allclose(in_turns.validation, together.validation)
    assert torch.equal(in_turns.best_epoch, together.best_epoch)


def test_training_killed_and_resumed_is_bit_equal(tmp_path):
    problem, options, checkpoint = make_problem(), settings(), tmp_path / "new" / "heads"
    uninterrupted = train_heads(problem, options, CPU)

    def kill(epoch, training):
        if epoch == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_heads(problem, options, CPU, checkpoint, checkpoint_seconds=0, on_epoch=kill)
    epochs = []
    resumed = train_heads(problem, options, CPU, checkpoint, 0, lambda epoch, training: epochs.append(epoch))
    assert epochs[0] == 6  # the fifth was the last one saved
    assert torch.equal(resumed.validation, uninterrupted.validation)
    for name in resumed.weights:
        assert torch.equal(resumed.weights[name], uninterrupted.weights[name])


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_other_losses_learn(kind):
    trained = train_heads(make_problem(kind, windows=2), settings(epochs=30, learning_rates=(5e-3,)), CPU)
    scores = {head.layer: score for head, score in zip(trained.heads, trained.validation.tolist(), strict=True)}
    assert scores["1"] > scores["0"] + 0.1


def test_crops_of_frames_stay_inside_their_track_and_repeat_short_ones():
    lengths = (5, 40)
    tracks = torch.arange(2).repeat_interleave(torch.tensor(lengths))
    features = torch.arange(45.0)[:, None, None].half()
    targets = tracks[:, None].float()
    crops = FrameCrops(Split(features, targets, tracks, targets, ["short", "long"]), crop_frames=12)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    values, drawn = crops.batch(torch.tensor([[0, 1], [1, 0]]), CPU, generators)
    assert values.shape == (2, 24, 1, 1)
    assert (drawn[0].flatten() == torch.tensor([0.0, 1.0]).repeat_interleave(12)).all()
    long = values[0, 12:].flatten()
    assert (long.diff() == 1).all() and long.min() >= 5
    assert values[0, :12].max() < 5
