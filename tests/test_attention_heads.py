"""Claims of chapters/attention_heads.md, one test per claim."""

import math

import numpy as np
import pytest
import torch

from toymodels.attention_heads import (
    Heads,
    Reader,
    experiment,
    law,
    overlaps,
    spread,
    start,
    theory,
)
from toymodels.attention_layers import (
    InContext,
    Transformer,
    added,
    branches,
    read_in_context,
    regression,
    terraces,
    train_layer,
)
from toymodels.attention_layers.context import Recall
from toymodels.deep_linear import DeepLinear, half_time
from toymodels.networks import GradientDescent
from toymodels.numerics import first_passage, mean

DOUBLE = torch.float64
THREE = torch.tensor([1.0, 0.0, -1.0], dtype=DOUBLE)
TWO = torch.tensor([1.0, 0.0], dtype=DOUBLE)
TIME = torch.linspace(0, 6, 7, dtype=DOUBLE)


def close(left, right, tolerance=1e-12):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("exponent", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("value", [TWO, THREE], ids=["two tokens", "three"])
def test_overlaps_close(exponent, value):
    """The equations of the overlaps against queries and keys of finite length."""
    model = Heads(value, 0.6, exponent, 7, 5)
    seen = experiment(model, TIME, seed=3, members=3, step=0.05)
    begin = overlaps(model, start(model, seed=3, members=3))
    found = theory(model, TIME, start=begin)
    assert found.logit.shape == (3, 7, 5, len(value))
    close(found.logit, seen.logit, 1e-6)
    close(found.prediction, seen.prediction, 1e-6)
    close(found.prediction, (seen.weight * value).sum(-1).mean(-1), 1e-6)


def test_the_experiment_is_of_fourth_order():
    model = Heads(THREE, 0.6, 1.0, 7, 5)
    begin = overlaps(model, start(model, seed=0, members=1))
    exact = theory(model, TIME, start=begin).logit
    gaps = [
        (experiment(model, TIME, seed=0, members=1, step=h).logit - exact).abs().max()
        for h in (0.5, 0.25)
    ]
    assert 3.5 < math.log2(gaps[0] / gaps[1]) < 4.7


@pytest.mark.parametrize(
    ("exponent", "rounded"), [(1.0, 0.562726), (0.75, 0.532228), (0.5, 0.472320)]
)
def test_limits_of_long_keys(exponent, rounded):
    """By hand: explicit Runge-Kutta on a grid of heads of two normal coordinates."""
    heads = theory(Heads(THREE, 0.6, exponent), TIME, points=4096)
    if exponent > 0.5:
        A, weight = np.zeros((1, 3)), np.ones(1)
    else:  # the mean logit stays, so two directions are left of three
        node, share = np.polynomial.hermite_e.hermegauss(40)
        one, two = np.meshgrid(node, node)
        A = np.outer(one, [1, -1, 0]) / 2**0.5 + np.outer(two, [1, 1, -2]) / 6**0.5
        weight = np.outer(share, share).ravel() / share.sum() ** 2
    Q, M = np.ones(len(A)), np.repeat(np.eye(3)[None], len(A), 0)
    eps, v = float(exponent == 1), THREE.numpy()

    def rate(A, Q, M):
        p = np.exp(A) / np.exp(A).sum(1, keepdims=True)
        J = p * (v - p @ v[:, None])
        delta = 0.6 - weight @ (p @ v)
        turn = J[:, :, None] * A[:, None] + A[:, :, None] * J[:, None]
        dA = np.einsum("hst,ht->hs", M, J) + Q[:, None] * J
        return delta * dA, 2 * eps * delta * (J * A).sum(1), eps * delta * turn

    state = [A, Q, M]
    for _ in range(300):  # midpoint steps
        half = [x + 0.01 * d for x, d in zip(state, rate(*state), strict=True)]
        state = [x + 0.02 * d for x, d in zip(state, rate(*half), strict=True)]
    p = np.exp(state[0]) / np.exp(state[0]).sum(1, keepdims=True)
    assert weight @ (p @ v) == pytest.approx(heads.prediction[-1].item(), abs=5e-5)
    assert heads.prediction[-1].item() == pytest.approx(rounded, abs=2e-5)


def test_heads_collapse_or_stay():
    assert theory(Heads(THREE, 0.6, 1.0), TIME).logit.shape == (7, 1, 3)
    assert theory(Heads(THREE, 0.6, 0.6), TIME).logit.shape == (7, 1, 3)
    crowd = theory(Heads(THREE, 0.6, 0.5), TIME)
    assert spread(crowd.logit[0]).item() == pytest.approx(1.0, abs=0.003)
    assert spread(crowd.logit[-1]).item() == pytest.approx(0.9833, abs=0.003)
    close(crowd.logit.mean(-1), crowd.logit.mean(-1)[:1].expand(7, -1), 1e-9)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_an_invariant_of_every_head(exponent):
    """Q - tr M, from the vectors of a trained network."""
    model = Heads(THREE, 0.6, exponent, 6, 4)
    weights = start(model, seed=1, members=2)
    before = overlaps(model, weights)
    inputs, labels = THREE[None], torch.full((1, 1), 0.6, dtype=DOUBLE)
    from toymodels.networks import GradientFlow, Samples, train

    after = train(
        weights, Samples(inputs, labels), network=Reader(exponent), record=[40], observe={},
        rule=GradientFlow(0.1 * model.rate),
    ).weights  # fmt: skip
    trace = lambda x: x.query - x.key.diagonal(dim1=-2, dim2=-1).sum(-1)  # noqa: E731
    after = overlaps(model, after)
    close(trace(after), trace(before), 1e-5)
    assert (after.query - before.query).abs().max() > 1e-2


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("length", [4, 20])
def test_law_of_the_start(exponent, length):
    """Means and variances of all overlaps, known by hand."""
    begin = law(Heads(THREE, 0.6, exponent, length), points=1 << 14)
    key = begin.key.flatten(-2)
    identity = torch.eye(3, dtype=DOUBLE).flatten()
    close(begin.logit.mean(0), torch.zeros(3, dtype=DOUBLE), 0.01)
    close(begin.logit.var(0), torch.full((3,), length ** (1 - 2 * exponent), dtype=DOUBLE), 0.02)
    assert begin.query.mean().item() == pytest.approx(1, abs=2e-3)
    assert begin.query.var().item() == pytest.approx(2 / length, rel=0.02)
    close(key.mean(0), identity, 0.01)
    close(key.var(0), (1 + identity) / length, 0.02)
    # A_s^2 = |q|^2 (q.k_s / |q|)^2 / N^(2 alpha) shares its coordinate with M
    cross = (begin.logit[:, 0] * begin.logit[:, 1] * begin.key[:, 0, 1]).mean()
    assert cross.item() == pytest.approx(length ** (-2 * exponent), rel=0.1)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_law_at_finite_length_is_that_of_networks(exponent):
    model = Heads(THREE, 0.6, exponent, 4, 48)
    exact = theory(Heads(THREE, 0.6, exponent, 4), TIME)
    seen = experiment(model, TIME, seed=5, members=200, step=0.25)
    for predicted, measured in (
        (spread(exact.logit[-1]), mean(spread(seen.logit[:, -1]), 0)),
        (spread(exact.logit[0]), mean(spread(seen.logit[:, 0]), 0)),
    ):
        assert abs(measured.value - predicted) < 4.5 * measured.error
    output = mean(seen.prediction[:, -1], 0)
    # of order 1 / H beside it: the label pulls a sample of heads, too
    assert abs(output.value - exact.prediction[-1]) < 4.5 * output.error + 2e-3


def test_variance_over_heads_falls_with_the_length():
    """N Var, by the delta method 1.976 in the end, and two powers."""
    lengths = (64, 1024)
    values = {
        exponent: [
            spread(theory(Heads(THREE, 0.6, exponent, N), TIME).logit[-1]).item() for N in lengths
        ]
        for exponent in (0.5, 1.0)
    }
    assert 1024 * values[1.0][1] == pytest.approx(1.976, abs=0.015)
    assert values[0.5][1] == pytest.approx(0.9833, abs=0.005)
    assert math.log(values[1.0][1] / values[1.0][0]) / math.log(16) == pytest.approx(-1, abs=0.02)


def test_two_tokens_ride_a_clock():
    """The closed forms of the chapter: a + sinh a, and Lambda^2 - eps a^2 / 2."""
    fine = torch.linspace(0, 12, 1201, dtype=DOUBLE)
    crowd = theory(Heads(TWO, 0.9, 0.5), fine, points=256)
    gap = crowd.logit[..., 0] - crowd.logit[..., 1]
    clock = torch.trapezoid(0.9 - crowd.prediction, fine)
    scale = gap + gap.sinh()
    close(scale[-1] - scale[0], (2 * clock).expand(256), 1e-4)
    for length in (5, 40):
        model = Heads(TWO, 0.9, 1.0, length)
        heads, begin = theory(model, fine, points=64), law(model, points=64)
        u = torch.tensor([1.0, -1.0], dtype=DOUBLE)
        constant = ((2 * begin.query + u @ begin.key @ u) / 4) ** 2
        gap = heads.logit[..., 0] - heads.logit[..., 1]
        constant = constant - gap[0] ** 2 / 2
        slow = (1 + gap.cosh()) / 2 / (constant + gap**2 / 2).sqrt()
        passed = torch.trapezoid(slow, gap, dim=0)
        close(passed, torch.trapezoid(0.9 - heads.prediction, fine).expand(64), 1e-4)


def test_labels_are_swept_in_one_call():
    labels = torch.tensor([0.6, 0.9], dtype=DOUBLE)
    both = theory(Heads(TWO, labels, 0.5), TIME, points=64)
    for k, label in enumerate(labels.tolist()):
        one = theory(Heads(TWO, label, 0.5), TIME, points=64)
        close(both.logit[k], one.logit, 1e-9)
    seen = experiment(Heads(TWO, labels, 0.5, 4, 3), TIME, seed=0, members=2, step=0.5)
    assert seen.logit.shape == (2, 2, 7, 3, 2)
    assert (seen.prediction[1, :, -1] > seen.prediction[0, :, -1]).all()


def test_the_rate_of_the_other_limit_moves_logits_with_the_length():
    leaps = []
    for length in (16, 64):
        model = Heads(TWO, 0.9, 0.5, length, 32)
        how = {"step": 0.25, "rule": GradientDescent, "rate": 32.0 * length}
        run = experiment(model, [0.0, 0.25], seed=0, members=20, **how)
        leaps.append((run.logit[:, 1] - run.logit[:, 0]).square().mean().sqrt())
    assert math.log(leaps[1] / leaps[0]) / math.log(4) == pytest.approx(1, abs=0.1)


def test_spread_has_no_bias():
    model = Heads(TWO, 0.9, 0.5, 16, 3)
    weights = start(model, seed=2, members=4000)
    found = mean(spread(overlaps(model, weights).logit), 0)
    assert abs(found.value - 1) < 4.5 * found.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0], 0.5), "value must have at least 2 tokens"),
        (([1.0, math.inf], 0.5), "value must be finite"),
        (([1.0, 0.0], math.inf), "label must be finite"),
        (([1.0, 0.0], 0.5, 0.4), "exponent must be from 1/2 to 1"),
        (([1.0, 0.0], 0.5, 1.1), "exponent must be from 1/2 to 1"),
        (([1.0, 0.0], 0.5, 1.0, 2.5), "key_dimension must be a whole number"),
        (([1.0, 0.0], 0.5, 1.0, 4, 0), "heads must be a whole number"),
    ],
)
def test_models_that_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Heads(*arguments)


def test_calls_that_are_refused():
    with pytest.raises(ValueError, match="start must be given for 8 heads"):
        theory(Heads(TWO, 0.5, heads=8), TIME)
    with pytest.raises(ValueError, match="key_dimension must be above the 2 tokens"):
        theory(Heads(TWO, 0.5, 1.0, 2), TIME)
    with pytest.raises(ValueError, match="key_dimension must be finite"):
        start(Heads(TWO, 0.5, heads=8), seed=0, members=1)
    with pytest.raises(ValueError, match="heads must be finite"):
        start(Heads(TWO, 0.5, 1.0, 8), seed=0, members=1)
    with pytest.raises(ValueError, match="members must be at least 1"):
        start(Heads(TWO, 0.5, 1.0, 8, 8), seed=0, members=0)
    with pytest.raises(ValueError, match="weights must be queries"):
        overlaps(Heads(TWO, 0.5), [torch.ones(1, 2, 4), torch.ones(1, 3, 4)])
    with pytest.raises(ValueError, match="at least 2 heads"):
        spread(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="points must be at least 2"):
        law(Heads(TWO, 0.5, 0.5), points=1)


def by_loops(weights, sample, heads, exponent, richness):
    """One sample of one member, number by number where it matters."""
    embedded = len(weights) > 5
    x = sample @ weights[5].T / sample.shape[-1] ** 0.5 if embedded else sample
    D, n = x.shape[-1], weights[4].shape[-1]
    N, heard = n // heads, []
    for h in range(heads):
        rows = slice(h * N, (h + 1) * N)
        q = weights[0][rows] @ x[-1] / D**0.5
        k = [weights[1][rows] @ token / D**0.5 for token in x]
        e = [math.exp(float(q @ key) / N**exponent) for key in k]
        values = [weights[2][rows] @ token / D**0.5 for token in x]
        heard.append(sum(a * v for a, v in zip(e, values, strict=True)) / sum(e))
    u = weights[3] @ torch.cat(heard) / n**0.5
    return weights[4][0] @ (u + x[-1] if embedded else u) / (richness * n)


@pytest.mark.parametrize("embedded", [False, True])
def test_a_transformer_by_loops(embedded):
    generator = torch.Generator().manual_seed(0)
    n = 6
    shapes = [(n, n if embedded else 4)] * 3 + [(n, n), (1, n)] + [(n, 4)] * embedded
    weights = [torch.randn(2, *shape, generator=generator, dtype=DOUBLE) for shape in shapes]
    tokens = torch.randn(5, 3, 4, generator=generator, dtype=DOUBLE)
    for exponent in (0.5, 1.0):
        network = Transformer(2, 3, exponent, 0.7)
        found = network(weights, tokens.flatten(1))
        assert network.logits(weights, tokens.flatten(1)).shape == (2, 5, 2, 3)
        for m in range(2):
            for s in range(5):
                mine = [w[m] for w in weights]
                expected = by_loops(mine, tokens[s], 2, exponent, 0.7)
                assert found[m, s, 0].item() == pytest.approx(expected.item(), rel=1e-9)


def test_rates_of_a_layer():
    """First steps of single weights, from the gradients of the loss as it is defined."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(4, 3, 2, generator=generator, dtype=DOUBLE)
    label = torch.tensor([1.0, -1.0, 0.5, 0.2], dtype=DOUBLE)
    moved = {}
    for exponent in (0.5, 1.0):
        for one_rate in (False, True):
            run = train_layer(
                Transformer(2, 3, exponent), tokens, label, [0, 1], key_dimension=9,
                step=1e-4, seed=0, members=3, one_rate=one_rate,
            )  # fmt: skip
            assert run.logit.shape == (3, 2, 4, 2, 3)
            close(run.loss[:, 0], (label.square().mean() / 2).expand(3))
            moved[exponent, one_rate] = run.logit[:, 1] - run.logit[:, 0]
    close(moved[1.0, True], moved[1.0, False])
    close(moved[0.5, True], 9 * moved[0.5, False], 1e-5)  # the step is not quite nothing
    assert moved[1.0, True].abs().max() > 1e-9


def test_a_layer_learns():
    tokens = torch.eye(3, dtype=DOUBLE)[None].repeat(2, 1, 1)
    tokens[1] = tokens[1].flip(0)
    run = train_layer(
        Transformer(4, 3), tokens, torch.tensor([1.0, -1.0]).double(), [0, 200], key_dimension=8,
        step=0.2, seed=0, members=2, embedded=True,
    )  # fmt: skip
    assert (run.loss[:, -1] < 0.05 * run.loss[:, 0]).all()


def test_layers_that_are_refused():
    tokens, label = torch.ones(2, 3, 4, dtype=DOUBLE), torch.ones(2, dtype=DOUBLE)
    how = {"key_dimension": 2, "step": 0.1, "seed": 0, "members": 1}
    with pytest.raises(ValueError, match="tokens must be 2 a sample, got 3"):
        train_layer(Transformer(1, 2), tokens, label, [0], **how)
    with pytest.raises(ValueError, match="key_dimension must be at least 1"):
        train_layer(Transformer(1, 3), tokens, label, [0], **how | {"key_dimension": 0})
    with pytest.raises(ValueError, match="members must be at least 1"):
        train_layer(Transformer(1, 3), tokens, label, [0], **how | {"members": 0})
    with pytest.raises(ValueError, match="heads must be at least 1"):
        Transformer(0, 2)
    with pytest.raises(ValueError, match="richness must be positive"):
        Transformer(1, 2, 1.0, 0.0)


def test_branches_walk():
    """Two exponents at three depths; a long one is a diffusion or nothing."""
    depth = torch.tensor([1.0, 4.0, 1e8], dtype=DOUBLE)
    close(added(depth, 0.5)[:2], torch.tensor([1.0, 1.25**4 - 1], dtype=DOUBLE))
    close(added(depth, 0.5)[2], torch.tensor(math.e - 1, dtype=DOUBLE), 1e-7)
    close(added(depth, 1.0)[2], torch.tensor(1e-8, dtype=DOUBLE), 1e-12)
    how = {"tokens": 3, "width": 32, "key_dimension": 256, "seed": 0, "members": 300}
    for count in (1, 4):
        for exponent in (0.5, 1.0):
            seen = mean(branches(count, exponent, **how), 0)
            exact = added(torch.tensor(float(count)), exponent)
            assert abs(seen.value - exact) < 4.5 * seen.error
    with pytest.raises(ValueError, match="depth must be at least 1"):
        added(torch.tensor([0.5]), 1.0)
    with pytest.raises(ValueError, match="width must be at least 1"):
        branches(2, 1.0, **how | {"width": 0})


CONTEXT = InContext(torch.tensor([2.0, 0.5], dtype=DOUBLE), 10, 1e-3)


def test_best_strength_and_terraces_by_hand():
    best = [1 / (2 * (1 + (1 + 2.5 / 2) / 10)), 1 / (0.5 * (1 + (1 + 5.0) / 10))]
    close(CONTEXT.best, torch.tensor(best, dtype=DOUBLE))
    heights = [1.25, 1.25 - 2 * best[0], 1.25 - 2 * best[0] - best[1] / 8]
    close(terraces(CONTEXT), torch.tensor(heights, dtype=DOUBLE))
    close(terraces(InContext(CONTEXT.variance.flip(0), 10)), terraces(CONTEXT))


def test_the_scalar_equation_is_a_deep_linear_network():
    """Of three layers, strength c', on the clock lambda^2 / c'."""
    time = torch.linspace(0, 80, 8001, dtype=DOUBLE)
    seen = regression(CONTEXT, time)
    waits = half_time(DeepLinear(CONTEXT.best[:, None], start=CONTEXT.start, depth=3))[:, 0]
    waits = waits * CONTEXT.best / CONTEXT.variance**2
    close(first_passage(time, seen.strength.mT, CONTEXT.best / 2), waits, 1e-4)
    close(seen.loss[-1], terraces(CONTEXT)[-1], 1e-4)
    close(seen.loss[0], terraces(CONTEXT)[0], 1e-2)


def test_linear_attention_follows():
    time = torch.arange(0, 60, 2.0, dtype=DOUBLE)
    seen = read_in_context(CONTEXT, time, seed=0, members=10, sequences=2000, step=0.2)
    exact = regression(CONTEXT, time)
    last = mean(seen.strength[:, -1], 0)
    assert ((last.value - exact.strength[-1]).abs() < 5 * last.error).all()
    loss = mean(seen.loss, 0)
    assert ((loss.value - exact.loss).abs()[[0, 5, 29]] < 5 * loss.error[[0, 5, 29]]).all()
    free = read_in_context(
        CONTEXT, [0.0, 200.0], seed=0, members=4, sequences=1000, step=0.2, spread=0.1
    )
    end = mean(free.loss[:, -1], 0)
    assert abs(end.value - terraces(CONTEXT)[-1]) < 5 * end.error
    assert abs(mean(free.strength[:, -1], 0).value - CONTEXT.best).max() < 0.2


def test_the_state_of_a_context():
    """Linear attention over the tokens of a context, key by key, reads the state alone."""
    from toymodels.attention_layers.context import _sequences

    data = _sequences(CONTEXT, 3, 2, 5)
    assert data.inputs.shape == (2, 5, 4) and data.labels.shape == (2, 5, 1)
    state, query = data.inputs.chunk(2, -1)
    from toymodels.numerics import draws

    scale = CONTEXT.variance.sqrt()
    x = draws.normal(3, "inputs", 2, (5, 11, 2)) * scale
    w = draws.normal(3, "tasks", 2, (5, 2))
    close(query, x[:, :, 10])
    close(data.labels[..., 0], (query * w).sum(-1))
    key, ask = torch.tensor([0.3, -1.0]).double(), torch.tensor([0.7, 0.2]).double()
    slow = sum(
        (x[:, :, i] * w).sum(-1) * (x[:, :, i] @ key) * (query @ ask) for i in range(10)
    ) / 10  # fmt: skip
    weights = [torch.full((2, 1, 1), 1.5).double(), key.expand(2, 1, 2), ask.expand(2, 1, 2)]
    close(Recall()(weights, data.inputs)[..., 0], 1.5 * slow)


def test_contexts_that_are_refused():
    with pytest.raises(ValueError, match="variance must be positive"):
        InContext([1.0, 0.0], 5)
    with pytest.raises(ValueError, match="context must be at least 1"):
        InContext([1.0], 0)
    with pytest.raises(ValueError, match="start must be positive"):
        InContext([1.0], 5, 0.0)
    with pytest.raises(ValueError, match="sequences must be at least 1"):
        read_in_context(CONTEXT, [0.0], seed=0, members=2, sequences=0, step=0.1)
