import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def agree(what, answer, expected, within=1e-6, hint=""):
    """Print a tick if `answer` equals `expected`, else say by how much it is off."""
    assert answer is not None and answer is not ..., f"{what}: nothing was returned"
    answer, expected = torch.as_tensor(answer), torch.as_tensor(expected)
    shapes = f"{tuple(expected.shape)}, got {tuple(answer.shape)}"
    assert answer.shape == expected.shape, f"{what}: the shape must be {shapes}. {hint}"
    gap = float((answer - expected).abs().max() / (expected.abs().max() or 1.0))
    assert gap <= within, f"{what}: off by {gap:.2g} of its size, allowed {within:g}. {hint}"
    print(f"✓ {what}")
