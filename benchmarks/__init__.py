"""How fast the theories, the experiments and the stacked ensemble are on this machine."""
