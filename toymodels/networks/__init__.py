"""Networks: stacks of many, how they are scaled, how they learn and what is seen inside them."""

from toymodels.networks import parameterization
from toymodels.networks.activation import LeakyReLU
from toymodels.networks.data import Batches, Fresh, Samples
from toymodels.networks.ensemble import State, Training, train
from toymodels.networks.network import Perceptron
from toymodels.networks.rules import Adam, GradientDescent, GradientFlow, HeavyBall, WeightDecay
from toymodels.networks.tangent import feature_kernels, tangent_kernel

__all__ = [
    "Adam",
    "Batches",
    "Fresh",
    "GradientDescent",
    "GradientFlow",
    "HeavyBall",
    "LeakyReLU",
    "Perceptron",
    "Samples",
    "State",
    "Training",
    "WeightDecay",
    "feature_kernels",
    "parameterization",
    "tangent_kernel",
    "train",
]
