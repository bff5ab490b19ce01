"""PyTorch's ``torch.backends``, for code that asks before it chooses a device."""

from __future__ import annotations


class mps:
    """Apple's GPU, which is not used."""

    @staticmethod
    def is_available() -> bool:
        """Return False: minilm runs on the CPU."""
        return False

    is_built = is_available


class cudnn:
    """Switches of a library that is not used: they may be set, and change nothing.

    The same seed gives the same bits here, whatever they say.
    """

    enabled = False
    deterministic = True
    benchmark = False
