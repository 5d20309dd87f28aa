"""Stacked training against torch's own modules and optimizers, one network at a time."""

import pytest
import torch
from torch import nn

from toymodels.numerics.draws import integers, normal
from toymodels.numerics.ensemble import (
    Adam,
    GradientDescent,
    GradientFlow,
    HeavyBall,
    forward,
    train,
)

MEMBERS, STEPS = 3, 12
WIDTHS = [4, 6, 5, 2]
INPUTS = normal(0, "inputs", 1, (7, 4))[0]
LABELS = normal(0, "labels", 1, (7, 2))[0]
RECORD = torch.tensor([0, 5, STEPS])


def start(members=MEMBERS):
    return [
        normal(1, f"layer {k}", members, (WIDTHS[k + 1], WIDTHS[k])) / WIDTHS[k] ** 0.5
        for k in range(3)
    ]


def everything(weights):
    return torch.cat([w.flatten(1) for w in weights], -1)


def run(rule, **options):
    options = {"activation": torch.tanh, "record": RECORD, "observe": everything} | options
    return train(start(), INPUTS, LABELS, rule=rule, **options)


def reference(member, optimizer, activation=nn.Tanh, batches=None):
    """One network by nn.Module, autograd and torch.optim; the weights after the last step."""
    layers = [nn.Linear(a, b, bias=False) for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)]
    network = nn.Sequential(layers[0], activation(), layers[1], activation(), layers[2]).double()
    for layer, weight in zip(layers, start(), strict=True):
        layer.weight.data.copy_(weight[member])
    optimizer = optimizer(network.parameters())
    for step in range(STEPS):
        pick = slice(None) if batches is None else batches[member, step]
        optimizer.zero_grad()
        error = network(INPUTS[pick]) - LABELS[pick]
        (0.5 * error.square().sum(-1).mean()).backward()
        optimizer.step()
    return torch.cat([layer.weight.detach().flatten() for layer in layers])


RULES = {
    "descent": (GradientDescent(0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "heavy ball": (HeavyBall(0.1, 0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "adam": (Adam(0.05), lambda p: torch.optim.Adam(p, lr=0.05)),
    "adam, own numbers": (
        Adam(0.05, decay=(0.8, 0.9), epsilon=1e-3),
        lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.9), eps=1e-3),
    ),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("function", "module"), [(torch.tanh, nn.Tanh), (torch.relu, nn.ReLU)])
def test_every_member_follows_torch(name, function, module):
    rule, optimizer = RULES[name]
    seen = run(rule, activation=function)[:, -1]
    for member in range(MEMBERS):
        expected = reference(member, optimizer, module)
        torch.testing.assert_close(seen[member], expected, atol=1e-10, rtol=0)


def test_linear_networks_follow_torch():
    seen = run(GradientDescent(0.05), activation=None)[:, -1]
    expected = reference(1, lambda p: torch.optim.SGD(p, lr=0.05), nn.Identity)
    torch.testing.assert_close(seen[1], expected, atol=1e-10, rtol=0)


def test_mini_batches_are_drawn_for_each_member_with_replacement():
    seen = run(GradientDescent(0.1), batch_size=3, seed=8)[:, -1]
    batches = integers(8, "mini-batch", MEMBERS, (STEPS, 3), high=7)
    for member in range(MEMBERS):
        expected = reference(member, lambda p: torch.optim.SGD(p, lr=0.1), nn.Tanh, batches)
        torch.testing.assert_close(seen[member], expected, atol=1e-10, rtol=0)


def test_gradient_flow_is_of_fourth_order():
    def end(step):
        record = torch.tensor([round(1 / step)])
        return run(GradientFlow(step), record=record)

    fine = end(1 / 64)
    ratio = (end(1 / 4) - fine).abs().max() / (end(1 / 8) - fine).abs().max()
    assert torch.log2(ratio) == pytest.approx(4, abs=0.4)


def test_gradient_flow_is_the_limit_of_gradient_descent():
    flow = run(GradientFlow(0.1), record=torch.tensor([10]))
    gaps = [
        (run(GradientDescent(1 / n), record=torch.tensor([n])) - flow).abs().max()
        for n in (100, 200)
    ]
    assert torch.log2(gaps[0] / gaps[1]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_chunks_change_nothing(chunk, batch_size):
    steps = torch.tensor([0.02, 0.05, 0.1], dtype=torch.float64)
    rule = HeavyBall(steps, 0.5)
    whole = run(rule, batch_size=batch_size)
    parts = run(rule, batch_size=batch_size, chunk=chunk)
    torch.testing.assert_close(parts, whole, atol=1e-13, rtol=0)


def test_each_member_may_have_its_own_numbers():
    steps = torch.tensor([0.02, 0.05, 0.1], dtype=torch.float64)
    momentum = torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)
    seen = run(HeavyBall(steps, momentum))
    for k in range(MEMBERS):
        alone = run(HeavyBall(steps[k].item(), momentum[k].item()))[k]
        torch.testing.assert_close(seen[k], alone, atol=1e-13, rtol=0)


def test_each_member_may_have_its_own_data():
    inputs = normal(5, "inputs", MEMBERS, (7, 4))
    options = {"rule": GradientDescent(0.1), "record": RECORD, "observe": everything}
    seen = train(start(), inputs, LABELS, **options)
    alone = train([w[1:2] for w in start()], inputs[1], LABELS, **options)
    torch.testing.assert_close(seen[1:2], alone, atol=1e-13, rtol=0)


def test_leading_axes_are_a_grid_of_members():
    grid = [w.reshape(3, 1, *w.shape[1:]).expand(3, 2, *w.shape[1:]) for w in start()]
    steps = torch.tensor([0.05, 0.1], dtype=torch.float64)  # the second axis of the grid
    seen = train(
        grid,
        INPUTS,
        LABELS,
        rule=GradientDescent(steps),
        record=RECORD,
        observe=everything,
        activation=torch.tanh,
    )
    torch.testing.assert_close(seen[:, 1], run(GradientDescent(0.1)), atol=1e-13, rtol=0)
    assert seen.shape[:3] == (3, 2, 3)


def test_the_record_holds_the_start_and_wrapped_rules_work():
    seen = run(GradientDescent(0.1))
    torch.testing.assert_close(seen[:, 0], everything(start()))

    def wrapped(weights, gradient, memory):
        return GradientDescent(0.1)(weights, gradient, memory)

    assert torch.equal(run(wrapped), seen)


def test_forward_is_the_network():
    weights = [w[0] for w in start()]
    out = forward(weights, INPUTS, activation=torch.tanh)
    h = torch.tanh(torch.tanh(INPUTS @ weights[0].T) @ weights[1].T) @ weights[2].T
    torch.testing.assert_close(out, h)
    assert forward(start(), INPUTS).shape == (MEMBERS, 7, 2)


def test_dtype_and_device_follow_the_weights(device):
    weights = [w.to(device, torch.float32) for w in start()]
    seen = train(
        weights,
        INPUTS.to(weights[0]),
        LABELS.to(weights[0]),
        rule=Adam(0.01),
        record=RECORD,
        observe=everything,
        batch_size=2,
    )
    assert seen.dtype == torch.float32 and seen.device.type == device.type


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"weights": []}, "at least one layer"),
        ({"weights": start()[1:]}, "layer 1 must take 4 inputs, got 6"),
        ({"labels": LABELS[:5]}, "labels must have shape"),
        ({"labels": LABELS[:, :1]}, "labels must have shape"),
        ({"inputs": INPUTS.float()}, "share one dtype and device"),
        ({"record": torch.tensor([3, 3])}, "strictly increasing"),
        ({"record": torch.tensor([-1, 3])}, "strictly increasing"),
        ({"record": torch.tensor([], dtype=torch.long)}, "one axis with entries"),
        ({"batch_size": 0}, "batch_size must be a positive whole number, got 0"),
        ({"chunk": 0}, "chunk must be a positive whole number, got 0"),
        ({"rule": GradientDescent(torch.ones(2))}, "one number per member"),
    ],
)
def test_impossible_requests_are_refused(change, what):
    request = {
        "weights": start(),
        "inputs": INPUTS,
        "labels": LABELS,
        "rule": GradientDescent(0.1),
        "record": RECORD,
        "observe": everything,
    } | change
    weights, inputs, labels = (request.pop(k) for k in ("weights", "inputs", "labels"))
    with pytest.raises(ValueError, match=what):
        train(weights, inputs, labels, **request)


def test_divergence_is_an_error_that_says_when():
    with pytest.raises(FloatingPointError, match="before step"):
        run(GradientDescent(100.0), activation=None, record=torch.tensor([0, 50, 400]))
