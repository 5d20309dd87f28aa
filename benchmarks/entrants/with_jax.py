"""Gradient descent in jax, compiled as a whole: over all members at once, or member by member.

And a large matrix product, as a ceiling.
"""

import jax
import jax.numpy as jnp
from jax import lax

LIBRARIES = ("jax", "jaxlib")


def _read(problem, precision):
    """Stacked weights, and the compilable training of one member."""
    layers = sum(name.startswith("weight") for name in problem)
    stacked = [jnp.asarray(problem[f"weight{k}"], precision) for k in range(layers)]
    inputs, labels = (jnp.asarray(problem[name], precision) for name in ("inputs", "labels"))
    steps, rate = int(problem["steps"]), float(problem["rate"])

    def loss(weights):
        signal = inputs
        for weight in weights[:-1]:
            signal = jnp.tanh(signal @ weight.T)
        return 0.5 * ((signal @ weights[-1].T - labels) ** 2).sum(-1).mean()

    def step(_, weights):
        slopes = jax.grad(loss)(weights)
        return [weight - rate * slope for weight, slope in zip(weights, slopes, strict=True)]

    def train(weights):
        weights = lax.fori_loop(0, steps, step, weights)
        return weights, loss(weights)

    return stacked, train


def _answer(weights, loss):
    return {f"weight{k}": weight for k, weight in enumerate(weights)} | {"loss": loss}


def vectorized(problem, precision, device):
    """jit(vmap(train)), the loop over steps inside."""
    stacked, train = _read(problem, precision)
    every = jax.jit(jax.vmap(train))
    return lambda: _answer(*jax.block_until_ready(every(stacked)))


def loop(problem, precision, device):
    """jit(train) called for one member after the other."""
    stacked, train = _read(problem, precision)
    one = jax.jit(train)
    members = [[weight[k] for weight in stacked] for k in range(len(stacked[0]))]

    def run():
        results = jax.block_until_ready([one(member) for member in members])
        weights = [jnp.stack(layer) for layer in zip(*(w for w, _ in results), strict=True)]
        return _answer(weights, jax.block_until_ready(jnp.stack([loss for _, loss in results])))

    return run


def product(problem, precision, device):
    """A large matrix product, by the library that jax brings along."""
    side = int(problem["side"])
    left, right = jax.random.uniform(jax.random.key(0), (2, side, side), precision)
    multiply = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(multiply(left, right))
