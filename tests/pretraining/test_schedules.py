"""Learning-rate schedules at the references' turning points, and the optimiser's settings."""

import pytest
import torch
from torch import nn

from musicssl.pretraining.training.optimizer import make_optimizer
from musicssl.pretraining.training.schedules import make_schedule


@pytest.mark.parametrize(
    ("update", "learning_rate"),
    [(0, 5e-6), (6_000, 2.525e-4), (12_000, 5e-4), (372_000, 5e-4), (386_000, 5e-5), (400_000, 5e-6), (500_000, 5e-6)],
)
def test_tri_stage(update, learning_rate):
    schedule = make_schedule("tri_stage", max_updates=400_000, warmup_updates=12_000, hold_updates=360_000)
    assert 5e-4 * schedule(update) == pytest.approx(learning_rate, rel=1e-9)


@pytest.mark.parametrize(
    ("update", "learning_rate"), [(0, 0.0), (16_000, 2.5e-4), (32_000, 5e-4), (216_000, 2.5e-4), (400_000, 0.0)]
)
def test_polynomial(update, learning_rate):
    schedule = make_schedule("polynomial", max_updates=400_000, warmup_updates=32_000)
    assert 5e-4 * schedule(update) == pytest.approx(learning_rate, rel=1e-9)


@pytest.mark.parametrize("name", ["tri_stage", "polynomial"])
def test_no_warm_up_starts_at_the_peak(name):
    assert make_schedule(name, max_updates=10, warmup_updates=0)(0) == 1.0


@pytest.mark.parametrize("name", ["tri_stage", "polynomial"])
def test_warm_up_may_be_all_there_is(name):
    schedule = make_schedule(name, max_updates=10, warmup_updates=10)
    assert schedule(9) < 1 and all(0 <= schedule(update) <= 1 for update in range(12))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cosine", 10, 1), "tri_stage or polynomial"),
        (("polynomial", 10, 11), "do not fit"),
        (("tri_stage", 10, 5, 6), "do not fit"),
        (("tri_stage", 10, -1), "do not fit"),
    ],
)
def test_impossible_schedules_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(*arguments)


@pytest.mark.parametrize("fused", [False, True])
def test_optimiser_places_epsilon_as_the_reference(fused):
    """Against fairseq's update, written out, with gradients as small as epsilon."""
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    frozen = nn.Linear(3, 3).requires_grad_(False)
    optimizer = make_optimizer(nn.Sequential(model, frozen), learning_rate=1e-2, fused=fused)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2], "biases decay too, frozen ones stay"

    beta1, beta2, eps, decay, rate = 0.9, 0.98, 1e-6, 0.01, 1e-2
    expected = [parameter.detach().double() for parameter in model.parameters()]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in expected]
    for step in range(1, 8):
        for parameter, value, (first, second) in zip(model.parameters(), expected, moments, strict=True):
            parameter.grad = torch.randn_like(parameter) * 1e-6
            gradient = parameter.grad.double()
            first.mul_(beta1).add_(gradient, alpha=1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            value.mul_(1 - rate * decay)
            step_size = rate * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
            value.addcdiv_(first, second.sqrt() + eps, value=-step_size)
        optimizer.step()
    for parameter, value in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.double(), value, rtol=0, atol=1e-6)


def test_optimiser_resumes_where_it_was():
    def steps(optimizer, parameter, count, seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(count):
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 1e-6
            optimizer.step()

    torch.manual_seed(0)
    whole, halves = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    halves.load_state_dict(whole.state_dict())
    optimizer = make_optimizer(whole, 1e-2)
    steps(optimizer, whole.weight, 3, seed=1)
    steps(optimizer, whole.weight, 3, seed=2)

    first = make_optimizer(halves, 1e-2)
    steps(first, halves.weight, 3, seed=1)
    second = make_optimizer(halves, 1e-2)
    second.load_state_dict(first.state_dict())
    steps(second, halves.weight, 3, seed=2)
    assert torch.equal(whole.weight, halves.weight)
