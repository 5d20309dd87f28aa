"""Claims of chapters/kernel_alignment.md, one test per claim."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from toymodels.kernel_alignment import (
    AligningFeatures,
    TwoLayers,
    afterwards,
    alignment,
    at_once,
    experiment,
    flow,
    greedy,
    invariant,
    settled,
    theory,
    together,
    trained,
    wide_linear,
)
from toymodels.limits.kernels import wide_kernels
from toymodels.networks import GradientDescent

DOUBLE = torch.float64
KERNEL = torch.tensor([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.4]], dtype=DOUBLE)
LABEL = torch.tensor([0.5, -1.0, 0.8], dtype=DOUBLE)
OTHER = torch.tensor([1.0, 0.2, -0.3], dtype=DOUBLE)
RATE = torch.tensor([0.0, 0.7, 5.0], dtype=DOUBLE)
MODEL = AligningFeatures(KERNEL, LABEL, RATE)
TIME = torch.linspace(0, 3, 7, dtype=DOUBLE)
ONE = torch.ones(1, 1, dtype=DOUBLE)


def close(left, right, tolerance=1e-12):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def outer(x, y):
    return x[..., :, None] * y[..., None, :]


# ---- the model -----------------------------------------------------------------------------------


def test_closed_form_equals_integrated_features():
    seen = experiment(MODEL, TIME, seed=0, step=0.005, members=2, features=5)
    found = theory(MODEL, TIME)
    assert seen.error.shape == (3, 2, 7, 3) and seen.kernel.shape == (3, 2, 7, 3, 3)
    for name in ("error", "kernel", "alignment", "loss"):
        close(
            getattr(seen, name), getattr(found, name)[:, None].expand_as(getattr(seen, name)), 2e-8
        )


def test_closed_form_solves_the_two_equations():
    """Central differences of the record."""
    h = 1e-5
    for t in (0.1, 0.9):
        one = theory(MODEL, torch.tensor([t - h, t, t + h], dtype=DOUBLE))
        e, K = one.error[:, 1], one.kernel[:, 1]
        close((one.error[:, 2] - one.error[:, 0]) / (2 * h), -(K @ e[..., None])[..., 0], 1e-8)
        pull = RATE[:, None, None] * outer(e, e) @ K
        close((one.kernel[:, 2] - one.kernel[:, 0]) / (2 * h), pull + pull.mT, 1e-8)


def test_without_a_rate_the_kernel_rests():
    found = theory(MODEL, TIME)
    close(found.kernel[0], KERNEL.expand(7, 3, 3))
    decay = torch.linalg.matrix_exp(-KERNEL * TIME[:, None, None])
    close(found.error[0], decay @ LABEL)


def test_one_sample_is_logistic_and_on_an_ellipse():
    model, k0, k1 = AligningFeatures(0.3 * ONE, [1.5], 2.0), 0.3, 0.3 + 2 * 1.5**2
    found = theory(model, TIME)
    kernel = k1 / (1 + (k1 / k0 - 1) * torch.exp(-2 * k1 * TIME))
    close(found.kernel[:, 0, 0], kernel)
    close(found.kernel[:, 0, 0] + 2 * found.error[:, 0] ** 2, torch.full_like(TIME, k1))
    close(found.alignment, torch.ones_like(TIME))


def test_numbers_by_hand():
    """Unit kernel, label of ones, three samples."""
    model = AligningFeatures(torch.eye(3, dtype=DOUBLE), torch.ones(3, dtype=DOUBLE), [0.0, 1.0])
    error = theory(model, torch.ones(1, dtype=DOUBLE)).error.norm(dim=-1)[:, 0]
    close(error, torch.tensor([0.637186, 0.063415], dtype=DOUBLE), 1e-6)
    close(settled(model).alignment[:, 0], torch.tensor([3**-0.5, 4 / 18**0.5], dtype=DOUBLE))


def test_the_kernel_only_grows_and_gains_the_outer_product():
    path = theory(MODEL, torch.linspace(0, 60, 13, dtype=DOUBLE))
    grown = torch.linalg.eigvalsh(path.kernel.diff(dim=1))
    assert (grown.sum(-1) > -1e-12).all() and (path.loss.diff(dim=-1) < 0).all()
    last = KERNEL + RATE[:, None, None] * outer(LABEL, LABEL)
    close(path.kernel[:, -1], last, 1e-9)
    close(settled(MODEL).kernel[:, 0], last)
    assert not settled(MODEL).error.any() and settled(MODEL).time.isinf().all()


def test_the_invariant_is_conserved_by_the_flow_of_both_sides():
    last = KERNEL + RATE[:, None, None] * outer(LABEL, LABEL)
    close(invariant(MODEL, theory(MODEL, TIME)), last[:, None].expand(3, 7, 3, 3))
    seen = experiment(MODEL, TIME, seed=1, step=0.01)
    close(invariant(MODEL, seen), last[:, None, None].expand(3, 1, 7, 3, 3), 1e-6)


def test_the_late_rate_is_that_of_the_last_kernel_between_two_of_the_first():
    late = torch.tensor([20.0, 21.0], dtype=DOUBLE)
    pace = -theory(MODEL, late).error.norm(dim=-1).log().diff(dim=-1)[:, 0]
    slowest = torch.linalg.eigvalsh(settled(MODEL).kernel[:, 0])[:, 0]
    close(pace, slowest, 1e-4)
    first = torch.linalg.eigvalsh(KERNEL)
    assert (slowest[1:] > first[0]).all() and (slowest < first[1]).all()


def test_very_late_and_very_fast():
    model = AligningFeatures(KERNEL, LABEL, torch.tensor([1.0, 1e12], dtype=DOUBLE))
    found = theory(model, torch.tensor([0.0, 1e-9, 1.0, 1e5], dtype=DOUBLE))
    assert found.error.isfinite().all() and not found.error[:, -1].any()
    close(found.error[:, 0], LABEL.expand(2, 3), 1e-9)


@pytest.mark.parametrize("rate", [0.5, 4.0])
def test_a_rank_never_grows(rate):
    """One feature for two samples: the error stops at sqrt(m / rate)."""
    kernel = torch.diag(torch.tensor([1.0, 0.0], dtype=DOUBLE))
    label = torch.tensor([0.6, 0.8], dtype=DOUBLE)
    model = AligningFeatures(kernel, label, rate)
    m = torch.linalg.eigvalsh(kernel + rate * outer(label, label))[0]
    rest = settled(model)
    close(rest.error.norm(), (m / rate).sqrt())
    close(theory(model, torch.tensor([200.0], dtype=DOUBLE)).error, rest.error, 1e-9)
    assert abs(torch.linalg.det(rest.kernel[0])) < 1e-12
    seen = experiment(model, torch.tensor([15.0], dtype=DOUBLE), seed=0, step=0.01)
    close(seen.error[0], theory(model, seen.time).error, 1e-7)


def test_a_mode_that_the_label_does_not_know_does_not_hold_it_up():
    """The slowest mode of all is the first, in which there is nothing to learn."""
    kernel = torch.diag(torch.tensor([0.05, 1.0, 0.0], dtype=DOUBLE))
    model = AligningFeatures(kernel, [0.0, 0.6, 0.8], 2.0)
    without = AligningFeatures(kernel[1:, 1:], [0.6, 0.8], 2.0)
    close(settled(model).error[:, 1:], settled(without).error)
    assert settled(model).error[0, 0] == 0 and settled(without).error.norm() > 0.3
    close(theory(model, [50.0]).error[:, 1:], settled(without).error, 1e-9)


def test_eigenvalues_that_are_negative_by_rounding_are_zero():
    few = torch.linspace(-1, 2, 10, dtype=DOUBLE).reshape(5, 2).cos()
    kernel = few @ few.mT
    assert (torch.linalg.eigvalsh(kernel) < 0).any()
    model = AligningFeatures(kernel, [1.0, -0.5, 0.2, 0.3, 0.1], [0.0, 2.0])
    seen = experiment(model, torch.tensor([0.5], dtype=DOUBLE), seed=0, step=0.005)
    close(seen.error[:, 0], theory(model, seen.time).error, 1e-7)
    close(theory(model, [1e5]).error, settled(model).error, 1e-9)


def test_a_kernel_at_rest_leaves_what_is_outside_of_its_range():
    kernel = torch.diag(torch.tensor([1.0, 0.0], dtype=DOUBLE))
    rest = settled(AligningFeatures(kernel, [0.6, 0.8], 0.0))
    close(rest.error, torch.tensor([[0.0, 0.8]], dtype=DOUBLE))
    far = theory(AligningFeatures(kernel, [0.6, 0.8], 0.0), [0.0, 1e4])
    close(far.error[-1], rest.error[0])


def test_labels_inside_the_range_of_a_singular_kernel_are_learned():
    kernel = torch.diag(torch.tensor([1.0, 0.0, 2.0], dtype=DOUBLE))
    model = AligningFeatures(kernel, [0.6, 0.0, 0.8], [0.0, 3.0])
    assert not settled(model).error.any()
    assert theory(model, torch.tensor([40.0], dtype=DOUBLE)).error.abs().max() < 1e-12


@pytest.mark.parametrize(("move", "order"), [(greedy, 1), (at_once, 1), (afterwards, 1), (flow, 4)])
def test_moves_converge_to_the_flow(move, order):
    model, time = AligningFeatures(KERNEL, LABEL, 2.0), torch.tensor([0.4, 1.2], dtype=DOUBLE)
    seen = [experiment(model, time, seed=0, step=s, move=move) for s in (0.02, 0.01, 0.005)]
    gaps = [(x.error[0] - theory(model, time).error).norm() for x in seen]
    assert math.log2(gaps[1] / gaps[2]) == pytest.approx(order, abs=0.15)
    drift = [
        (invariant(model, x)[0, -1] - theory(model, time[:0].new_zeros(1)).kernel[0]) for x in seen
    ]
    drift = [(d - 2 * outer(LABEL, LABEL)).norm() for d in drift]
    assert math.log2(drift[1] / drift[2]) == pytest.approx(order, abs=0.2)


def test_one_step_of_each_rule_by_hand():
    """k = psi^2 = 4, error 1, rate 3, step 0.1."""
    psi, error, rate = 2 * ONE, ONE.clone(), 3 * ONE
    a, b = at_once(psi, error, rate, 0.1)
    close((a, b), (ONE * 2.6, ONE * 0.6))
    a, b = afterwards(psi, error, rate, 0.1)
    close((a, b), (ONE * (2 + 0.3 * 0.36 * 2), ONE * 0.6))
    a, b = greedy(psi, error, rate, 0.1)  # psi (1 + step rate (1 - step k))
    close((a, b), (ONE * 2 * 1.18, ONE * (1 - 0.1 * 2.36**2)))
    assert not a.requires_grad and not psi.requires_grad


def test_at_once_the_invariant_always_grows():
    seen = experiment(MODEL, TIME[:2], seed=0, step=0.02, move=at_once)
    assert (torch.linalg.eigvalsh(invariant(MODEL, seen)[1:, 0].diff(dim=1))[..., 0] > -1e-12).all()


def test_shared_features_turn_to_all_labels():
    model = AligningFeatures(KERNEL, torch.stack([LABEL, OTHER]), 3.0)
    found = together(model, TIME)
    seen = experiment(model, TIME, seed=0, step=0.005, members=2, shared=True)
    assert found.error.shape == (2, 7, 3) and seen.error.shape == (2, 2, 7, 3)
    for name in ("error", "kernel", "alignment"):
        both = getattr(found, name)[:, None].expand_as(getattr(seen, name))
        close(getattr(seen, name), both, 1e-6)
    close(found.kernel[0], found.kernel[1])
    end = together(model, torch.tensor([60.0], dtype=DOUBLE)).kernel[0, 0]
    close(end, KERNEL + 3 * (outer(LABEL, LABEL) + outer(OTHER, OTHER)), 1e-8)


def test_shared_kernels_obey_a_matrix_riccati_equation():
    """K = M - E S E^T with E = exp(-M t) Y and S^-1 = 1 - rate Y^T M^-1 (1 - exp(-2 M t)) Y."""
    Y, t = torch.stack([LABEL, OTHER]).mT, 0.8
    model, time = AligningFeatures(KERNEL, Y.mT, 3.0), torch.tensor([t], dtype=DOUBLE)
    M, eye = KERNEL + 3 * Y @ Y.mT, torch.eye(3, dtype=DOUBLE)
    E = torch.linalg.matrix_exp(-M * t) @ Y
    gone = torch.linalg.solve(M, eye - torch.linalg.matrix_exp(-2 * M * t))
    S = torch.linalg.inv(torch.eye(2, dtype=DOUBLE) - 3 * Y.mT @ gone @ Y)
    close(together(model, time).kernel[0, 0], M - 3 * E @ S @ E.mT, 1e-9)


def test_one_output_shares_with_nobody():
    model = AligningFeatures(KERNEL, LABEL[None], 3.0)
    close(together(model, TIME).kernel, theory(model, TIME).kernel, 1e-8)
    seen = [experiment(model, TIME[:3], seed=0, step=0.01, shared=s) for s in (True, False)]
    close(seen[0].kernel, seen[1].kernel)


def test_batches_of_outputs_that_share():
    model = AligningFeatures(
        torch.stack([KERNEL, 2 * KERNEL])[:, None],
        torch.stack([LABEL, OTHER]),
        torch.tensor([[1.0], [3.0]], dtype=DOUBLE),
    )
    found, seen = together(model, TIME), experiment(model, TIME, seed=0, step=0.01, shared=True)
    assert found.kernel.shape == (2, 2, 7, 3, 3) and seen.kernel.shape == (2, 2, 1, 7, 3, 3)
    close(seen.error[:, :, 0], found.error, 1e-5)
    close(seen.kernel[:, :, 0], found.kernel, 1e-5)
    alone = together(AligningFeatures(2 * KERNEL, torch.stack([LABEL, OTHER]), 3.0), TIME)
    close(found.error[1], alone.error, 1e-8)


def test_members_differ_in_their_features_alone():
    def look(features, error, rate, step):
        seen.append(features)
        return at_once(features, error, rate, step)

    seen = []
    one = AligningFeatures(KERNEL, LABEL, torch.tensor([1.0, 1.0], dtype=DOUBLE))
    found = experiment(one, [0.01], seed=3, step=0.01, members=2, features=4, move=look)
    psi = seen[0]
    assert (
        psi.shape == (2, 2, 3, 4)
        and len({round(x, 9) for x in psi[..., 0, 0].flatten().tolist()}) == 4
    )
    close(psi @ psi.mT, KERNEL.expand(2, 2, 3, 3))
    close(found.kernel[0, 0], found.kernel[0, 1])
    experiment(one, [0.01], seed=4, step=0.01, members=2, features=4, move=look)
    assert (seen[0] != seen[1]).all()


def test_alignment_by_hand():
    label = torch.tensor([1.0, -1.0], dtype=DOUBLE)
    close(alignment(outer(label, label) * 3, label), torch.ones((), dtype=DOUBLE))
    eye = torch.eye(2, dtype=DOUBLE)
    close(alignment(torch.stack([eye, eye + outer(label, label)]), label)[0], ONE[0, 0] * 0.5**0.5)
    close(
        alignment(eye * torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0])), ONE[0, 0] * 3 / 10**0.5
    )
    found = theory(MODEL, TIME)
    close(alignment(found.kernel, LABEL), found.alignment)


def test_float32_models_keep_their_precision():
    model = AligningFeatures(KERNEL.float(), LABEL.float(), 2.0)
    found = theory(model, TIME.float())
    assert found.error.dtype == found.kernel.dtype == torch.float32
    close(found.error.double(), theory(AligningFeatures(KERNEL, LABEL, 2.0), TIME).error, 1e-5)
    assert experiment(model, TIME[:2].float(), seed=0, step=0.1).alignment.dtype == torch.float32


# ---- networks ------------------------------------------------------------------------------------

INPUTS = torch.tensor([[1.0, 0.5], [-0.2, 1.2], [0.7, -0.9]], dtype=DOUBLE)
LABELS = torch.stack([INPUTS @ torch.tensor([1.0, 0.4], dtype=DOUBLE), INPUTS[:, 1] * 0.5])
MOMENTS = torch.tensor([0.0, 0.3, 0.8, 2.0], dtype=DOUBLE)


def test_white_linear_networks_have_a_closed_form():
    """K - K(0) = (sqrt(1 + richness^2 |f|^2) - 1)(1 + y y^T / |y|^2)."""
    eye, y = torch.eye(3, dtype=DOUBLE), LABEL / LABEL.norm()
    model = TwoLayers(3**0.5 * eye, LABEL[None], torch.tensor([0.5, 3.0], dtype=DOUBLE))
    found = wide_linear(model, MOMENTS)
    assert found.kernel.shape == (2, 1, 4, 3, 3)
    f = (LABEL - found.error[:, 0]).norm(dim=-1)
    grown = ((1 + (model.gamma[:, None] * f) ** 2).sqrt() - 1)[..., None, None]
    close(found.kernel[:, 0] - 2 * eye, grown * (eye + outer(y, y)), 1e-8)
    close(found.alignment[:, 0], alignment(found.kernel[:, 0], LABEL))


def test_linear_networks_have_the_kernel_of_the_theory():
    """Two outputs: their output weights correlate on the way, and the errors feel each other."""
    model = TwoLayers(INPUTS, LABELS, torch.tensor([0.5, 2.0], dtype=DOUBLE))
    found = wide_linear(model, MOMENTS)
    seen = trained(model, MOMENTS, seed=0, step=0.05, width=2048, members=24)
    assert seen.kernel.shape == (2, 2, 24, 4, 3, 3) and seen.error.shape == (2, 2, 24, 4, 3)
    assert (seen.error.mean(2) - found.error).abs().max() < 0.006
    size = found.kernel.abs().amax((-1, -2, -3), keepdim=True)
    assert ((seen.kernel.mean(2) - found.kernel) / size).abs().max() < 0.02
    assert (seen.alignment.mean(2) - found.alignment).abs().max() < 0.006
    close(seen.error[..., 0, :], LABELS[:, None].expand(2, 2, 24, 3))


def test_four_neurons_with_the_moments_of_a_wide_network_follow_its_equations():
    """W and z orthogonal, of mean square one: the equations of the moments are then exact."""
    x, y, richness = INPUTS.numpy(), LABELS.numpy(), 2.0
    count, start = 4, 2 * np.eye(4)  # root of 4 times (two inputs, two outputs)

    def moves(t, state):
        both = state.reshape(count, 4)
        h, z = both[:, :2] @ x.T / 2**0.5, both[:, 2:].T
        error = y - z @ h / (richness * count)
        return richness * np.hstack([z.T @ error @ x / 2**0.5, h @ error.T]).ravel()

    last = solve_ivp(moves, (0, 0.8), start.ravel(), rtol=1e-10, atol=1e-12).y[:, -1]
    both = last.reshape(count, 4)
    h, z = both[:, :2] @ x.T / 2**0.5, both[:, 2:].T
    found = wide_linear(TwoLayers(INPUTS, LABELS, richness), MOMENTS[:3])
    close(found.error[:, -1], LABELS - torch.as_tensor(z @ h / (richness * count)), 1e-7)
    for own, kernel in zip(z, found.kernel[:, -1], strict=True):
        close(kernel, torch.as_tensor(h.T @ h + own @ own * x @ x.T / 2) / count, 1e-7)


def test_kernels_of_outputs_that_share_a_linear_layer_point_one_way():
    found = wide_linear(TwoLayers(INPUTS, LABELS, 2.0), MOMENTS).kernel
    K = INPUTS @ INPUTS.mT / 2
    gap = (found[0] - found[1])[-1]
    close(gap, gap[0, 0] / K[0, 0] * K, 1e-9)
    assert gap.abs().max() > 0.1


def test_relu_networks_start_from_the_wide_kernel():
    model = TwoLayers(INPUTS, LABELS, 1.5, torch.relu)
    seen = trained(model, MOMENTS[:1], seed=1, step=0.05, width=1024, members=40).kernel
    wide = wide_kernels(INPUTS, torch.relu).tangent
    assert (seen.mean((1, 2)) - wide).abs().max() < 0.03 * wide.max()


def test_heads_of_relu_networks_prefer_their_classes():
    inputs = (
        torch.linalg.cholesky(
            torch.eye(4, dtype=DOUBLE) / 2
            + torch.block_diag(*2 * [torch.ones(2, 2, dtype=DOUBLE) / 2])
        )
        * 2
    )
    classes = torch.eye(2, dtype=DOUBLE).repeat_interleave(2, 1)
    found = {}
    for phi in (None, torch.relu):
        model = TwoLayers(inputs, classes, 4.0, phi)
        kernel = trained(model, [3.0], seed=0, step=0.05, width=256, members=12).kernel[:, :, 0]
        mine = alignment(kernel, classes[:, None])
        other = alignment(kernel, classes.flip(0)[:, None])
        found[phi] = (mine - other).mean()
    assert abs(found[None]) < 0.01 and found[torch.relu] > 0.1


def test_descent_in_steps_differs_from_the_flow_at_first_order():
    model, time = TwoLayers(INPUTS, LABELS, 1.0), torch.tensor([1.0], dtype=DOUBLE)
    knobs = {"seed": 0, "width": 64, "members": 2}
    flowing = trained(model, time, step=0.02, **knobs).error
    gaps = [
        (trained(model, time, step=s, rule=GradientDescent, **knobs).error - flowing).norm()
        for s in (0.01, 0.005)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(2, abs=0.1)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "label", "rate", "words"),
    [
        ([[1.0, 0.5], [0.4, 1.0]], [1.0, 1.0], 1.0, "kernel must be symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], [1.0, 1.0], 1.0, "without negative eigenvalues"),
        ([[0.0, 0.0], [0.0, 0.0]], [1.0, 1.0], 1.0, "kernel must be not all zero"),
        ([[math.inf, 0.0], [0.0, 1.0]], [1.0, 1.0], 1.0, "kernel must be finite"),
        ([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], 1.0, "label must be finite and not all zero"),
        ([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0], -1.0, "rate must be non-negative"),
    ],
)
def test_models_that_cannot_be_are_refused(kernel, label, rate, words):
    with pytest.raises(ValueError, match=words):
        AligningFeatures(kernel, label, rate)


def test_what_cannot_be_moved_or_trained_is_refused():
    one = AligningFeatures(KERNEL, LABEL, 1.0)
    with pytest.raises(ValueError, match="axis of outputs"):
        together(one, TIME)
    with pytest.raises(ValueError, match="kernel must be one for all outputs"):
        together(AligningFeatures(torch.stack([KERNEL, 2 * KERNEL]), LABEL, 1.0), TIME)
    with pytest.raises(ValueError, match="rate must be one for all outputs"):
        experiment(MODEL, TIME, seed=0, step=0.1, shared=True)
    with pytest.raises(ValueError, match="features must be at least the 3 samples, got 2"):
        experiment(one, TIME, seed=0, step=0.1, features=2)
    with pytest.raises(ValueError, match="members must be at least 1, got 0"):
        experiment(one, TIME, seed=0, step=0.1, members=0)
    with pytest.raises(ValueError, match="sorted and non-negative"):
        theory(one, torch.tensor([1.0, 0.5], dtype=DOUBLE))
    with pytest.raises(FloatingPointError, match="use a smaller step"):
        experiment(AligningFeatures(KERNEL, LABEL, 50.0), [60.0], seed=0, step=0.5, move=at_once)
    with pytest.raises(ValueError, match="kernel must be finite and not all zero"):
        alignment(torch.zeros(2, 2), torch.ones(2))
    with pytest.raises(ValueError, match="label must be finite and not all zero"):
        alignment(torch.eye(2), torch.zeros(2))
    with pytest.raises(ValueError, match="activation must be None"):
        wide_linear(TwoLayers(INPUTS, LABELS, 1.0, torch.relu), MOMENTS)
    with pytest.raises(ValueError, match="richness must be positive"):
        TwoLayers(INPUTS, LABELS, 0.0)
    with pytest.raises(ValueError, match="inputs must be finite and not all zero"):
        TwoLayers(0 * INPUTS, LABELS, 1.0)
    with pytest.raises(ValueError, match="label must be finite and not all zero"):
        TwoLayers(INPUTS, 0 * LABELS, 1.0)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        trained(TwoLayers(INPUTS, LABELS, 1.0), MOMENTS, seed=0, step=0.1, width=0, members=1)
