"""Claims of chapters/coarse_graining.md on hierarchies with random rules, one test per claim."""

import itertools
import math

import pytest
import torch

from tools import figures_hierarchy
from toymodels.numerics.origin import plain
from toymodels.random_hierarchy import (
    Course,
    RandomHierarchy,
    TreeNetwork,
    class_signal,
    correlations,
    counting_error,
    decay,
    draw_rules,
    draw_strings,
    entropies,
    exponents,
    half_error,
    learn,
    needed_samples,
    network_error,
    network_loss,
    stored,
    table_losses,
)
from toymodels.random_hierarchy.counting import condensed, groups
from toymodels.random_hierarchy.text import _interpolated

DOUBLE = torch.float64
SMALL = RandomHierarchy(4, 2, 2, classes=3)


def every_string(model, rules):
    """All strings of the first member with their classes, one for each way to make them."""
    found = []
    for label in range(model.labels):
        below = [(label,)]
        for rule in rules:
            table = rule[0].tolist()
            below = [
                sum((tuple(table[x][k]) for x, k in zip(string, picks, strict=True)), ())
                for string in below
                for picks in itertools.product(range(model.synonyms), repeat=len(string))
            ]
        found += [(string, label) for string in below]
    return found


def test_rules_are_pairs_that_belong_to_one_symbol():
    model = RandomHierarchy(5, 3, 3, classes=4)
    rules = draw_rules(model, seed=0, members=6)
    assert [tuple(rule.shape) for rule in rules] == [(6, 4, 3, 2), (6, 5, 3, 2), (6, 5, 3, 2)]
    for rule in rules:
        pair = (rule[..., 0] * 5 + rule[..., 1]).flatten(1)
        assert all(len(row.unique()) == pair.shape[1] for row in pair)
    assert (rules[1] != rules[2]).any() and (rules[1][0] != rules[1][1]).any()


def test_strings_are_those_of_the_rules_and_equally_likely():
    rules = draw_rules(SMALL, seed=3, members=2)
    made = every_string(SMALL, rules)
    assert len(set(made)) == len(made) == 3 * 2**3
    seen = draw_strings(rules, 24_000, seed=1)
    drawn = list(zip(map(tuple, seen.symbol[0].tolist()), seen.label[0].tolist(), strict=True))
    counts = torch.tensor([drawn.count(one) for one in made], dtype=DOUBLE)
    assert counts.sum() == 24_000
    assert ((counts - 1000) ** 2 / 1000).sum() < 60  # chi squared with 23 degrees of freedom


@pytest.mark.parametrize("model", [RandomHierarchy(8, 4, 3), RandomHierarchy(5, 2, 2, classes=3)])
def test_the_signal_of_random_rules_has_its_exact_mean(model):
    signal = class_signal(model, draw_rules(model, seed=1, members=2000))
    n = model.labels
    expected = (n - 1) / n**2 * model.contraction ** (model.levels - 1)
    assert abs(signal.mean() - expected) < 4.5 * signal.std() / 2000**0.5
    noise = (n - 1) / n  # of all entries together, for one sample
    assert noise * model.synonyms / expected == pytest.approx(needed_samples(model))


def test_signal_entropy_and_correlation_by_listing_all_strings():
    model = RandomHierarchy(3, 2, 2)
    rules = draw_rules(model, seed=5, members=1)
    made = every_string(model, rules)
    joint = torch.zeros(2, 3, 3, dtype=DOUBLE)
    parent = {tuple(p): x for x, row in enumerate(rules[1][0].tolist()) for p in row}
    near, far = torch.zeros(3, 3, dtype=DOUBLE), torch.zeros(2, 3, 3, dtype=DOUBLE)
    contexts = [{}, {}, {}]
    for string, label in made:
        for place in (0, 1):
            joint[place, label, parent[string[2 * place : 2 * place + 2]]] += 1 / len(made)
            far[place, string[place], string[3]] += 1 / len(made)
        near[string[2], string[3]] += 1 / len(made)
        for level in range(3):
            key = string[-(2**level) : -1]
            row = contexts[level].setdefault(key, torch.zeros(3, dtype=DOUBLE))
            row[string[3]] += 1 / len(made)

    def gap(table):
        return (table - table.sum(-1, True) * table.sum(-2, True)).square().sum((-1, -2))

    torch.testing.assert_close(class_signal(model, rules), gap(joint).mean(0, True))
    found = correlations(model, rules)[0]
    torch.testing.assert_close(found, torch.stack([gap(near), gap(far).mean()]))
    exact = [
        sum(-torch.xlogy(row, row / row.sum()).sum().item() for row in table.values())
        for table in contexts
    ]
    assert entropies(model, rules)[0].tolist() == pytest.approx(exact)


def test_correlations_contract_by_the_factor_of_both_sides():
    model = RandomHierarchy(8, 3, 4)
    found = correlations(model, draw_rules(model, seed=2, members=4000))
    gap = found[:, 1:] - model.contraction**2 * found[:, :-1]
    expected = model.contraction**2 * found[:, :-1].mean(0)
    first, *later = (gap.mean(0) / expected).tolist()
    assert abs(first) < 4.5 * gap[:, 0].std() / expected[0] / 4000**0.5
    assert all(abs(ratio) < 0.25 for ratio in later)  # of order 1 / v
    assert exponents(model).beta == pytest.approx(math.log2(3 * 9 / 8))


def test_a_level_leaves_the_exact_share_of_false_candidates():
    """Of a set of symbols one is right; which right children fit the left one that is seen?"""
    v, m, members = 6, 2, 6000
    model = RandomHierarchy(v, m, 1)
    rule = draw_rules(model, seed=4, members=members)[0]
    hot = torch.zeros(members, v, v, v, dtype=DOUBLE)
    row = torch.arange(members)[:, None, None]
    hot[row, torch.arange(v)[None, :, None], rule[..., 0], rule[..., 1]] = 1
    for false in (1, 3):
        left = rule[:, 0, 0, 0]  # the true symbol is 0 and takes its first rule
        fits = hot[torch.arange(members), : 1 + false][torch.arange(members), :, left].sum(1)
        count = fits.sum(-1) - 1
        expected = ((1 + false) * m - 1) / (v + 1)
        assert abs(count.mean() - expected) < 4.5 * count.std() / members**0.5
    assert exponents(model).gamma == pytest.approx(math.log2((v + 1) / m))


def test_ward_finds_groups_and_merges_what_costs_least():
    share = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]], dtype=DOUBLE)
    truth = torch.tensor([0, 1, 0, 2, 2, 1, 0])
    counts = (100 * share[truth])[None, :, None]
    found = groups(counts, 3)[0]
    assert all((found[i] == found[j]) == (truth[i] == truth[j]) for i in range(7) for j in range(7))
    assert set(found.tolist()) == {0, 1, 2}
    pull = torch.tensor([[4.0, 0], [1, 3], [400, 40], [40, 400]], dtype=DOUBLE)[None, :, None]
    joined = groups(pull, 2)[0]  # few counts are cheap to merge
    assert joined[0] == joined[2] and joined[1] == joined[3] and joined[0] != joined[1]
    unseen = torch.cat([counts, torch.zeros_like(counts[:, :2])], 1)
    assert (groups(unseen, 3)[0, :7] == found).all()


def test_counting_reads_every_string_once_it_has_seen_enough():
    model = RandomHierarchy(5, 3, 3)
    rules = draw_rules(model, seed=1, members=4)
    reading = learn(model, draw_strings(rules, 20 * model.scale, seed=2))
    fresh = draw_strings(rules, 500, seed=3)
    assert (reading(fresh.symbol)[..., 0] == fresh.label).double().mean() > 0.995
    low = rules[-1]
    pair = low[..., 0] * 5 + low[..., 1]
    read = reading.table[0].gather(1, pair.flatten(1)).reshape(pair.shape)
    assert (read == read[..., :1]).double().mean() > 0.99  # synonyms share a group


def test_too_few_samples_teach_nothing():
    model = RandomHierarchy(8, 4, 3)
    few, many = (counting_error(model, P, seed=2, members=12) for P in (60, 4000))
    assert few.mean() > 0.9 and many.mean() < 0.01
    assert few.unique().numel() > 4


def test_condensed_strings_of_one_symbol_tell_what_the_block_is():
    model = RandomHierarchy(6, 2, 3)
    rules = draw_rules(model, seed=1, members=3)
    seen = draw_strings(rules, 6000, seed=2)
    table, symbol = condensed(seen.symbol[..., :4], seen.symbol[..., -1], 6, 6, until=1)
    assert len(table) == 2 and symbol.shape == (3, 6000, 1)


def test_tables_fall_back_on_shorter_contexts():
    right = torch.tensor([[0, 0, 1, 1, 1]])
    context = [(torch.tensor([[0, 0, 1, 1, 1]]), torch.tensor([[0, 1, 2]]))]
    wanted = torch.tensor([[0, 1, 1]])
    found = _interpolated(3, context, (right, wanted), 1.0)[:, 0]
    first = (torch.tensor([2.0, 3, 0], dtype=DOUBLE) + 1 / 3) / 6
    then = [(2 + first[0]) / 3, (3 + first[1]) / 4, first[1]]
    assert found[0] == pytest.approx(-(first[0].log() + 2 * first[1].log()).item() / 3)
    assert found[1] == pytest.approx(-sum(p.log().item() for p in then) / 3)


def test_tables_end_at_the_entropy():
    model = RandomHierarchy(4, 2, 2)
    losses = table_losses(model, 20_000, 2, seed=1, members=8, fresh=4000)
    rules = draw_rules(model, seed=1, members=8)
    exact = entropies(model, rules)
    raw, grouped = losses["raw"], losses["groups"]
    assert raw[-1].abs().max() < 0.03 and raw.shape == (4, 8)
    torch.testing.assert_close(raw[0], exact[:, 0] - exact[:, 2], rtol=0, atol=0.03)
    torch.testing.assert_close(grouped[1], exact[:, 1] - exact[:, 2], rtol=0, atol=0.03)
    assert grouped.shape == (3, 8)
    assert grouped[2].abs().max() < 0.05  # both left siblings are read rightly


def test_tables_are_judged_on_fresh_strings():
    few = table_losses(RandomHierarchy(4, 2, 3), 200, 2, seed=1, members=8, fresh=200)
    assert (few["raw"].mean(-1) > 0).all()  # what was counted would be told better than H_L


def test_a_tree_network_by_hand():
    x = torch.tensor([[1.0, 2, 3, 4]])
    first, top, out = torch.tensor([[1.0, -2]]), torch.tensor([[2.0, -1]]), torch.tensor([[3.0]])
    assert TreeNetwork()([first, top, out], x).item() == 0  # relu(-3), relu(-5)
    first = torch.tensor([[1.0, 1]])
    assert TreeNetwork()([first, top, out], x).item() == 0  # relu(2 * 3 - 7)
    assert TreeNetwork()([first, -top, out], x).item() == pytest.approx(3.0)
    own = torch.tensor([[1.0, 1], [0.5, 0]])
    assert TreeNetwork()([own, top, out], x).item() == pytest.approx(3 * (6 - 1.5))


def test_networks_learn_and_depth_helps():
    model, course = RandomHierarchy(6, 3, 3), Course(width=32, steps=250)
    setting = {"seed": 1, "members": 4, "course": course}
    deep = network_error(model, 1500, deep=True, **setting)
    flat = network_error(model, 1500, deep=False, **setting)
    assert deep.mean() < 0.1 and flat.mean() > deep.mean() + 0.1
    assert network_error(model, 40, deep=True, **setting).mean() > 0.7


@pytest.mark.parametrize("shared", [True, False])
def test_networks_predict_the_last_symbol(shared):
    model, course = RandomHierarchy(4, 2, 3), Course(width=32, steps=300, rate=0.005)
    setting = {"seed": 1, "members": 3, "course": course, "shared": shared}
    exact = entropies(model, draw_rules(model, seed=1, members=3))
    loss = network_loss(model, 3000, **setting)
    assert (loss > -0.03).all() and loss.mean() < 0.5 * (exact[:, 1] - exact[:, 3]).mean()


def test_half_errors_and_slopes_of_known_curves():
    samples = torch.tensor([10.0, 20, 40, 80], dtype=DOUBLE)
    shift = torch.tensor([-0.1, 0.0, 0.1], dtype=DOUBLE)
    error = torch.tensor([1.0, 0.75, 0.25, 0.0], dtype=DOUBLE)[:, None] + shift
    found = half_error(samples, error)
    assert found.value.item() == pytest.approx(20 * 2**0.5)
    assert found.error.item() == pytest.approx(
        20 * 2**0.5 * math.log(2) / 0.5 * 0.1 / 3**0.5, rel=0.02
    )
    loss = samples[:, None] ** -0.4 * torch.tensor([1.0, 2.0, 3.0], dtype=DOUBLE)
    tilted = loss * (samples[:, None] / 28) ** torch.tensor([0.01, 0.0, -0.01], dtype=DOUBLE)
    assert decay(samples, tilted).value.item() == pytest.approx(0.4, abs=0.01)
    with pytest.raises(ValueError, match="error must pass one half"):
        half_error(samples, error + 1)


def test_stored_curves_say_where_they_come_from_and_can_be_computed_again():
    found = plain(stored())
    origin = {k: v for k, v in found.origin.items() if k != "date"}
    wanted = figures_hierarchy.origin()
    for name in ("script", "seed", "members", "courses", "rates"):
        assert origin[name] == wanted[name]
    assert len(found.origin["date"]) == 10
    assert set(found.curves) == {(name, *size) for name, size, _ in figures_hierarchy.plan()}
    curve = found.curves["counting", 8, 3, 2]
    again = counting_error(RandomHierarchy(8, 3, 2), int(curve["samples"][4]), seed=11, members=24)
    torch.testing.assert_close(again, curve["value"][4], rtol=0, atol=0.03)
    curve = found.curves["deep", 8, 4, 2]
    course = Course(rate=curve["rate"][0].item())
    setting = {"seed": 11, "members": 8, "deep": True, "course": course}
    again = network_error(RandomHierarchy(8, 4, 2), int(curve["samples"][0]), **setting)
    torch.testing.assert_close(again, curve["value"][0], rtol=0, atol=0.08)


def test_refusals():
    with pytest.raises(ValueError, match="synonyms times vocabulary must be at most 16, got 20"):
        RandomHierarchy(4, 5, 2)
    with pytest.raises(ValueError, match="synonyms times classes must be at most 16"):
        RandomHierarchy(4, 2, 2, classes=9)
    with pytest.raises(ValueError, match="classes must be at least 2"):
        RandomHierarchy(4, 2, 2, classes=1)
    with pytest.raises(ValueError, match="levels must be at least 1"):
        RandomHierarchy(4, 2, 0)
    with pytest.raises(ValueError, match="synonyms must be fewer than the vocabulary"):
        exponents(RandomHierarchy(4, 4, 2))
    with pytest.raises(ValueError, match="levels must be at most 2, got 3"):
        table_losses(RandomHierarchy(4, 2, 2), 10, 3, seed=0, members=2)
    with pytest.raises(ValueError, match="samples must be at least 1"):
        draw_strings(draw_rules(SMALL, seed=0, members=1), 0, seed=0)
    with pytest.raises(ValueError, match="members must be at least 1"):
        draw_rules(SMALL, seed=0, members=0)
    with pytest.raises(ValueError, match="fresh must be at least 1"):
        counting_error(SMALL, 10, seed=0, members=2, fresh=0)
