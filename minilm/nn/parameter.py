"""Parameters: the tensors that a module learns."""

from __future__ import annotations

from typing import Any

from minilm.tensor import Tensor, TensorLike, as_tensor


class Parameter(Tensor):
    """A tensor that a module registers when it is assigned to an attribute.

    Parameters
    ----------
    data : Tensor or array
        The initial values; shared, not copied.
    requires_grad : bool
        Whether to learn it.
    """

    def __init__(self, data: TensorLike, requires_grad: bool = True) -> None:
        source = as_tensor(data).detach()
        super().__init__(source._array, requires_grad)
        self._share_memory(source)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __format__(self, spec: str) -> str:
        return super().__format__(spec) if spec else repr(self)

    def __reduce__(self) -> Any:
        return type(self), (self._array, self._requires_grad), {"grad": self.grad}
