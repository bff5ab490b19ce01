"""PyTorch's ``torch.cuda``, for code that asks before it chooses a device: there is none."""

from __future__ import annotations


def is_available() -> bool:
    """Return False: minilm runs on the CPU."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing: there is no device whose random numbers could be seeded."""


def manual_seed_all(seed: int) -> None:
    """Do nothing: there is no device whose random numbers could be seeded."""
