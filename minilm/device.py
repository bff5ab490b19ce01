"""Where tensors are: PyTorch's ``torch.device``, of which there is one, the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class device:
    """The CPU, so that code which asks for a device runs with nothing changed.

    Parameters
    ----------
    type : str or device
        ``"cpu"``.
    index : int, optional
        Has no meaning for the CPU.

    Attributes
    ----------
    type : str
        ``"cpu"``.

    Raises
    ------
    RuntimeError
        If another device is asked for.

    Examples
    --------
    >>> minilm.device("cuda" if minilm.cuda.is_available() else "cpu")
    device(type='cpu')
    """

    type = "cpu"
    index = None

    def __init__(self, type: str | device = "cpu", index: int | None = None) -> None:
        name = str(type)
        if name.partition(":")[0] != "cpu":
            raise RuntimeError(f"minilm runs on the CPU only, there is no device {name!r}")

    def __str__(self) -> str:
        return self.type

    def __repr__(self) -> str:
        return f"device(type={self.type!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device)

    def __hash__(self) -> int:
        return hash(self.type)


def on_device(make: Callable[P, R]) -> Callable[P, R]:
    """Let a function that makes tensors take ``device=``, too."""

    @functools.wraps(make)
    def make_on(*args: Any, device: Any = None, **kwargs: Any) -> R:
        if device is not None:
            _device(device)
        return make(*args, **kwargs)

    return make_on


_device = device  # which the argument of that name hides
