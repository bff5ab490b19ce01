"""Methods that convert: to other dtypes, to Python numbers, to copies."""

from __future__ import annotations

import builtins
import math
import operator
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from minilm import dtypes
from minilm.device import device as device_type
from minilm.methods.base import TensorBase
from minilm.rules import elementwise

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from minilm.tensor import Tensor


class ConversionMethods(TensorBase):
    """Sizes, dtypes, Python numbers and copies."""

    # --- sizes ---

    @overload
    def size(self) -> tuple[builtins.int, ...]: ...
    @overload
    def size(self, dim: builtins.int) -> builtins.int: ...
    def size(self, dim: builtins.int | None = None) -> tuple[builtins.int, ...] | builtins.int:
        """Return the shape, or the length of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> builtins.int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def ndim(self) -> builtins.int:
        """The number of axes."""
        return len(self.shape)

    def numel(self) -> builtins.int:
        """Return the number of elements."""
        return math.prod(self.shape)

    def element_size(self) -> builtins.int:
        """Return the bytes of one element."""
        return self.dtype.itemsize

    # --- copies and dtypes ---

    def clone(self) -> Tensor:
        """Return a copy; gradients pass through it."""
        return self._apply(elementwise.copy, self)

    def contiguous(self) -> Tensor:
        """Return the tensor itself if its elements lie in order in memory, else a copy."""
        return self if self.is_contiguous() else self.clone()  # type: ignore[return-value]

    def is_contiguous(self) -> builtins.bool:
        """Tell whether the elements lie in order in memory."""
        return self._array.flags.c_contiguous

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """Convert to a dtype: ``x.to(minilm.float32)``; a device may be given, if it is the CPU.

        Raises
        ------
        RuntimeError
            If another device than ``"cpu"`` is asked for.
        """
        dtype = parse_to(*args, **kwargs)
        if dtype is None or dtype == self.dtype:
            return self  # type: ignore[return-value]
        return self._apply(elementwise.cast, self, dtype=dtype)

    def type(self, dtype: DTypeLike) -> Tensor:
        """Convert to a dtype."""
        return self.to(np.dtype(dtype))

    def float(self) -> Tensor:
        """Convert to float32."""
        return self.to(dtypes.float32)

    def double(self) -> Tensor:
        """Convert to float64."""
        return self.to(dtypes.float64)

    def half(self) -> Tensor:
        """Convert to float16."""
        return self.to(dtypes.float16)

    def long(self) -> Tensor:
        """Convert to int64."""
        return self.to(dtypes.int64)

    def int(self) -> Tensor:
        """Convert to int32."""
        return self.to(dtypes.int32)

    def bool(self) -> Tensor:
        """Convert to booleans: whether each element is not zero."""
        return self.to(dtypes.bool_)

    @property
    def device(self) -> device_type:
        """Where it is: on the CPU."""
        return device_type("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> Tensor:
        """Raise RuntimeError: minilm runs on the CPU."""
        return self.to("cuda")

    def cpu(self) -> Tensor:
        """Return the tensor itself: it is on the CPU."""
        return self  # type: ignore[return-value]

    def is_floating_point(self) -> builtins.bool:
        """Tell whether the dtype is floating point."""
        return self.dtype.kind == "f"

    # --- Python numbers ---

    def item(self) -> Any:
        """Return the value of a tensor of one element as a Python number."""
        if self.numel() != 1:
            raise RuntimeError(f"a tensor of shape {self.shape} cannot be converted to one number")
        return self._array.item()

    def tolist(self) -> Any:
        """Return the values as nested Python lists; a Python number if there are no axes."""
        return self._array.tolist()

    def __bool__(self) -> builtins.bool:
        if self.numel() != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with more than one value is ambiguous (shape "
                f"{self.shape}): use any() or all()"
            )
        return bool(self._array.item())

    def __int__(self) -> builtins.int:
        return int(self.item())

    def __float__(self) -> builtins.float:
        return float(self.item())

    def __index__(self) -> builtins.int:
        if self.dtype.kind not in "iu" or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return operator.index(self._array.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self.shape else object.__format__(self, spec)


def parse_to(
    *args: Any, dtype: DTypeLike | None = None, device: Any = None, non_blocking: bool = False
) -> np.dtype[Any] | None:
    """Read the arguments of ``to``: a dtype, a device, or both, in any order.

    There is nothing to wait for, so ``non_blocking`` has no effect.

    Returns
    -------
    dtype or None
        The dtype that is asked for.

    Raises
    ------
    RuntimeError
        If another device than the CPU is asked for.
    """
    wanted = None if dtype is None else np.dtype(dtype)
    for argument in (*args, device):
        if isinstance(argument, TensorBase):
            wanted = argument.dtype
        elif isinstance(argument, (np.dtype, type)):
            wanted = np.dtype(argument)
        elif argument is not None and not isinstance(argument, builtins.bool):  # non_blocking
            device_type(argument)
    return wanted
