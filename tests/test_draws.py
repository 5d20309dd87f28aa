"""A member's draws depend on the seed, the member and the purpose, and on nothing else."""

import pytest
import torch

from toymodels.numerics.draws import integers, normal, uniform, whole_number


@pytest.mark.parametrize("draw", [normal, uniform, lambda *a, **k: integers(*a, high=50, **k)])
def test_a_member_is_the_same_alone_in_a_batch_and_in_chunks(draw):
    batch = draw(3, "weights", 64, (5, 2))
    assert torch.equal(draw(3, "weights", 1, (5, 2), first=7)[0], batch[7])
    chunks = [draw(3, "weights", min(5, 64 - k), (5, 2), first=k) for k in range(0, 64, 5)]
    assert torch.equal(torch.cat(chunks), batch)


@pytest.mark.parametrize("draw", [normal, uniform, lambda *a, **k: integers(*a, high=10**6, **k)])
def test_seeds_members_and_purposes_are_independent(draw):
    one = draw(0, "weights", 2, (100,))
    for other in (draw(1, "weights", 2, (100,)), draw(0, "noise", 2, (100,))):
        assert not torch.isclose(one, other).any()
    assert not torch.isclose(one[0], one[1]).any()


def test_the_distributions_are_what_they_say():
    z = normal(0, "z", 400, (100,))  # standard errors 0.005 and 0.007
    assert abs(z.mean()) < 0.02 and abs(z.var() - 1) < 0.03
    u = uniform(0, "u", 400, (100,))
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.006
    k = integers(0, "k", 400, (100,), high=7)
    assert k.dtype == torch.int64 and sorted(k.unique().tolist()) == list(range(7))


def test_precision_and_device_do_not_change_the_draws(device):
    exact = normal(0, "w", 3, (4,))
    single = normal(0, "w", 3, (4,), dtype=torch.float32, device=device)
    assert single.dtype == torch.float32 and single.device.type == device.type
    torch.testing.assert_close(single.cpu(), exact.float())


def test_the_draws_are_those_of_the_printed_book():
    where = {"seed": 3, "purpose": "weights", "members": 2, "shape": (), "first": 5}
    pinned = torch.tensor([1.4588479416119486, 1.233203832938919], dtype=torch.float64)
    assert torch.equal(normal(**where), pinned)
    assert integers(**where, high=100).tolist() == [29, 83]


def test_one_possible_number_is_always_drawn():
    assert integers(0, "k", 3, (4,), high=1).eq(0).all()


def test_no_members_are_no_rows():
    assert normal(0, "w", 0, (4, 2)).shape == (0, 4, 2)


@pytest.mark.parametrize("value", [2.0, 1.5, -1, True, "3", None])
def test_whole_numbers_are_whole(value):
    with pytest.raises(ValueError, match="steps must be a non-negative whole number, got"):
        whole_number(value, "steps")


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: normal(-1, "w", 1, (1,)), "seed must be a non-negative whole number, got -1"),
        (lambda: normal(True, "w", 1, (1,)), "seed must be a non-negative whole number, got True"),
        (lambda: normal(0, "w", -2, (1,)), "members must be a non-negative whole number"),
        (lambda: uniform(0, "w", 1, (1,), first=-3), "first must be a non-negative whole number"),
        (lambda: integers(0, "w", 1, (1,), high=0), "high must be at least 1"),
    ],
)
def test_impossible_requests_are_refused(call, what):
    with pytest.raises(ValueError, match=what):
        call()
