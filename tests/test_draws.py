"""A member's draws depend on the seed, the member and the purpose, and on nothing else."""

import pytest
import torch

from toymodels.numerics import draws
from toymodels.numerics.draws import Stream, integers, normal, uniform, whole_number


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
        (lambda: normal(True, "w", 1, (1,)), "seed must be a whole number, got True"),
        (lambda: normal(0, "w", -2, (1,)), "members must be a non-negative whole number"),
        (lambda: uniform(0, "w", 1, (1,), first=-3), "first must be a non-negative whole number"),
        (lambda: integers(0, "w", 1, (1,), high=0), "high must be at least 1"),
    ],
)
def test_impossible_requests_are_refused(call, what):
    with pytest.raises(ValueError, match=what):
        call()


def test_a_stream_depends_on_seed_purpose_member_and_step_alone():
    whole = Stream(5, 6)
    part = Stream(5, 2, first=3)
    for draw in ("uniform", "normal"):
        values = getattr(whole, draw)("noise", 7, (4, 3))
        assert torch.equal(getattr(part, draw)("noise", 7, (4, 3)), values[3:5])
        step = torch.tensor(7)
        assert torch.equal(getattr(whole, draw)("noise", step, (4, 3)), values)
        others = [
            getattr(whole, draw)("noise", 8, (4, 3)),
            getattr(whole, draw)("other", 7, (4, 3)),
            getattr(Stream(6, 6), draw)("noise", 7, (4, 3)),
        ]
        assert all((values != other).all() for other in others)
        assert values.unique().numel() == values.numel(), "no two members or entries are alike"
    assert torch.equal(
        whole.integers("pick", 2, (9,), high=5)[4], part.integers("pick", 2, (9,), high=5)[1]
    )


def test_a_stream_is_the_published_generator():
    """SplitMix64 from the state 1234567: its first numbers, as other implementations print them."""
    stream = Stream(0, 1)
    stream._keys["known"] = torch.zeros(1, 1, dtype=torch.int64)
    start = draws._mixed(torch.tensor([[draws.STRIDE]]))  # step 0, key 0
    places = 1234567 - start + draws.STRIDE * torch.arange(1, 4)
    stream._places[3] = places
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [x % 2**64 for x in stream._bits("known", 0, 3)[0].tolist()] == known


def test_a_stream_is_uniform_and_normal():
    """Each bound is four standard errors."""
    stream, n = Stream(1, 4), 50_000
    flat = torch.cat([stream.uniform("u", step, (n,)) for step in range(5)], -1)
    count = flat.numel()
    assert (flat >= 0).all() and (flat < 1).all()
    assert abs(flat.mean() - 0.5) < 4 / (12 * count) ** 0.5
    cells = torch.histc(flat, 100, 0, 1)
    assert abs((((cells - count / 100) ** 2) / (count / 100)).sum() - 99) < 4 * (2 * 99) ** 0.5
    bell = torch.cat([stream.normal("n", step, (n,)) for step in range(5)], -1)
    assert abs(bell.mean()) < 4 / count**0.5
    assert abs(bell.square().mean() - 1) < 4 * (2 / count) ** 0.5
    assert abs((bell**4).mean() - 3) < 4 * (96 / count) ** 0.5
    for a, b in (
        (bell[0], bell[1]),
        (bell[:, :n], bell[:, n : 2 * n]),
        (bell[:, 1:], bell[:, :-1]),
    ):
        assert abs((a * b).mean()) < 4 / a.numel() ** 0.5
    half = bell[:, : n // 2] * bell[:, n // 2 : n]  # sine and cosine of the same angle
    assert abs(half.mean()) < 4 / half.numel() ** 0.5
    odd = stream.normal("n", 0, (3, 1))
    assert odd.shape == (4, 3, 1)


def test_whole_numbers_of_a_stream_reach_every_value_alike():
    picks = Stream(2, 3).integers("pick", 0, (30_000,), high=7)
    assert picks.dtype == torch.int64
    count = torch.bincount(picks.flatten(), minlength=7).double()
    expected = picks.numel() / 7
    assert len(count) == 7 and ((count - expected) ** 2 / expected).sum() < 6 + 4 * 12**0.5
    with pytest.raises(ValueError, match="high must be at least 1"):
        Stream(2, 3).integers("pick", 0, (3,), high=0)


def test_a_stream_in_float32_stays_below_one_and_close():
    stream = Stream(3, 2)
    coarse = stream.uniform("u", 0, (20_000,), dtype=torch.float32)
    assert coarse.dtype == torch.float32 and (coarse < 1).all()
    fine = stream.uniform("u", 0, (20_000,))
    assert ((fine - coarse).abs() <= 2**-24).all()
    assert stream.normal("n", 0, (5,), dtype=torch.float32).dtype == torch.float32


def test_a_stream_is_the_same_on_every_device(device):
    here, there = Stream(4, 3), Stream(4, 3, device=device)
    step = torch.tensor(11, device=device)
    assert torch.equal(there.uniform("u", step, (50,)).cpu(), here.uniform("u", 11, (50,)))
    assert torch.equal(
        there.integers("i", step, (50,), high=9).cpu(), here.integers("i", 11, (50,), high=9)
    )
    torch.testing.assert_close(
        there.normal("n", step, (50,)).cpu(), here.normal("n", 11, (50,)), atol=1e-14, rtol=1e-14
    )


def test_a_whole_number_that_is_too_small_is_refused_with_the_reason():
    assert draws.whole_number(2, "members", 2, "one has no error bar") == 2
    with pytest.raises(ValueError, match="members must be at least 2, got 1: one has no error bar"):
        draws.whole_number(1, "members", 2, "one has no error bar")
    with pytest.raises(ValueError, match="members must be a non-negative whole number, got -1"):
        draws.whole_number(-1, "members", 2, "one has no error bar")


def test_a_shift_makes_other_draws_but_for_what_is_stored(monkeypatch):
    before = draws.normal(3, "weights", 2, (4,))
    monkeypatch.setenv(draws.SHIFT, "1000")
    assert torch.equal(draws.normal(3, "weights", 2, (4,)), draws.normal(3, "weights", 2, (4,)))
    assert not torch.equal(draws.normal(3, "weights", 2, (4,)), before)
    with draws.as_stored():
        assert torch.equal(draws.normal(3, "weights", 2, (4,)), before)
    assert not torch.equal(draws.normal(3, "weights", 2, (4,)), before)
