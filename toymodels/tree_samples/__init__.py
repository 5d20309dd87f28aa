"""A tree on n samples: how far it climbs, what it mistakes for a rung, and what friction leaves.

Features are independent standard normal numbers, and labels carry noise. What the theory needs of
a training set are overlaps of its columns: K nodes have a target, all others are false.

    Z        columns: noise of variance one, and features of the nodes with a target
    W        Z^T Z / n, overlaps of these columns, (1 + K, 1 + K)
    w        what the labels still hold, in these columns: (sigma, beta - c)
    gamma_v  overlaps of the feature of a false node with these columns, normal, covariance W / n
    f        share of the training error that the false nodes have left
    V_j      exposure of the false children of rung j
    theta    friction that a node feels; tau^2 / n is the variance of the noise on its target

    cavity    error against time            race      who opens first
    friction  rest under weight decay       stored    experiments that took minutes

Chapter: ``chapters/tree.md``, where all but the ingredients is derived: nested residuals of
saddles on finite data, Pesme & Flammarion (2023), arXiv:2304.00488; state evolution, Bayati &
Montanari (2012), arXiv:1008.2581, here with a tree for a denoiser.
"""

from toymodels.tree_samples.cavity import Learning, error_curves
from toymodels.tree_samples.friction import Rest, decayed
from toymodels.tree_samples.race import clean_climb, climbed, exposure
from toymodels.tree_samples.stored import DICTIONARIES, SETTINGS, Setting, Stored, stored

__all__ = [
    "DICTIONARIES", "SETTINGS", "Learning", "Rest", "Setting", "Stored", "clean_climb", "climbed",
    "decayed", "error_curves", "exposure", "stored",
]  # fmt: skip
