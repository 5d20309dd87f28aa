"""Attention beyond the solvable heads: a whole layer, many layers, learning in context.

    transformer   one layer of softmax attention, trained whole
    stack         a residual stream through many blocks, before training
    context       linear attention that regresses in context, one mode after another

Chapter: ``chapters/attention_heads.md``. Scalings of the first two: Bordelon, Chaudhry & Pehlevan
(2024), arXiv:2405.15712; the third: Zhang, Singh, Latham & Saxe (2025), arXiv:2501.16265.
"""

from toymodels.attention_layers.context import (
    InContext,
    Regression,
    read_in_context,
    regression,
    terraces,
)
from toymodels.attention_layers.stack import added, branches
from toymodels.attention_layers.transformer import Layer, Transformer, train_layer

__all__ = [
    "InContext", "Layer", "Regression", "Transformer", "added", "branches", "read_in_context",
    "regression", "terraces", "train_layer",
]  # fmt: skip
