"""Tensor: an array with a gradient.

A `Tensor` wraps a NumPy array, and may stand on the tape (`minilm.tape`). Its operations are the
methods in `minilm.methods`; `apply` is the one place where an operation's rule (`minilm.rules`)
meets tensors, and is recorded.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minilm.formatting import format_tensor
from minilm.grad_mode import enable_grad as enable_grad
from minilm.grad_mode import is_grad_enabled as is_grad_enabled
from minilm.grad_mode import no_grad as no_grad
from minilm.grad_mode import set_grad_enabled as set_grad_enabled
from minilm.methods.conversion import ConversionMethods
from minilm.methods.elementwise import ElementwiseMethods
from minilm.methods.inplace import InPlaceMethods
from minilm.methods.reductions import ReductionMethods
from minilm.methods.shapes import ShapeMethods
from minilm.rules.rule import RESULT, Array, Backward, Rule
from minilm.tape import Deferred as Deferred
from minilm.tape import Edge as Edge
from minilm.tape import Memory as Memory
from minilm.tape import Node as Node
from minilm.tape import can_be_added_to, run_backward
from minilm.tape import record as record

# --- recording ------------------------------------------------------------------------------------


def apply(rule: Rule, *operands: Any, **settings: Any) -> Any:
    """Apply a rule to tensors, arrays and numbers, and record it on the tape.

    Returns
    -------
    Tensor, or tuple of Tensor for a rule with several results

    Raises
    ------
    ValueError
        If the shapes do not fit; the message names the operation and the shapes.
    """
    first = operands[0]
    if isinstance(first, Tensor) and first._deferred is not None:
        kept = first._deferred.rearranged(first, rule, settings)
        if kept is not None:
            return kept
    arrays = [_plain(operand) for operand in operands]
    result, backward = rule(*arrays, **settings)
    outputs = [Tensor(array) for array in (result if isinstance(result, list) else [result])]
    if rule.view:
        for output in outputs:
            if isinstance(first, Tensor) and np.may_share_memory(output._value, first._value):
                output._share_memory(first)
                output._is_view = True
    if outputs[0].dtype.kind == "f" and _records(operands):
        _record_rule(rule, operands, outputs, backward)
    return tuple(outputs) if isinstance(result, list) else outputs[0]


def _plain(operand: Any) -> Any:
    """Return an operand's array, or the Python number that it is."""
    if isinstance(operand, Tensor):
        return operand._array
    return np.asarray(operand) if isinstance(operand, np.generic) else operand


def _records(operands: Iterable[Any]) -> bool:
    """Tell whether an operation on these operands belongs on the tape."""
    return is_grad_enabled() and any(
        operand._requires_grad for operand in operands if isinstance(operand, Tensor)
    )


def _record_rule(
    rule: Rule, operands: Sequence[Any], outputs: list[Tensor], backward: Backward
) -> None:
    """Put the operation of a rule on the tape."""
    tensors = [i for i, operand in enumerate(operands) if isinstance(operand, Tensor)]

    def backward_of_tensors(*grads: Array | None) -> tuple[Array | None, ...]:
        of_operands = backward(*grads)
        return tuple(of_operands[i] for i in tensors)

    read = {
        position
        for i in tensors
        if operands[i]._requires_grad
        for position in rule.reads.get(i, ())
    }
    saved = [operands[i] for i in tensors if i in read] + (outputs if RESULT in read else [])
    record(
        [operands[i] for i in tensors],
        outputs,
        backward_of_tensors,
        saved=[(tensor._memory, tensor._memory.version) for tensor in saved],
        name=rule.name,
        frees=bool(rule.reads),
    )


# --- the tensor -----------------------------------------------------------------------------------


class Tensor(ElementwiseMethods, ReductionMethods, ShapeMethods, ConversionMethods, InPlaceMethods):
    """An array with a gradient.

    Parameters
    ----------
    array : array_like
        The values; NumPy arrays are shared, not copied. Use `minilm.tensor` to copy, and to get
        PyTorch's default dtypes from Python numbers.
    requires_grad : bool
        Whether `backward` shall leave the gradient in ``grad``.

    Attributes
    ----------
    grad : Tensor or None
        Sum of the gradients of all `backward` calls since it was None.
    """

    grad: Tensor | None
    __array_priority__ = 1000  # numpy_array * tensor is ours
    __hash__ = object.__hash__
    _apply = staticmethod(apply)

    def __init__(self, array: Any, requires_grad: bool = False) -> None:
        self._value: Array = np.asarray(array)
        self._memory = Memory()
        self._node: Node | None = None
        self._index = 0  # which output of the node this tensor is
        self._history = 0  # how many recorded writes into its memory this tensor knows of
        self._is_view = False
        self._deferred: Deferred | None = None
        self._requires_grad = False
        self.grad = None
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def _defer(cls, deferred: Deferred, requires_grad: bool) -> Tensor:
        """Make a tensor whose values are computed when they are first read."""
        tensor = cls(())
        tensor._deferred = deferred
        tensor._requires_grad = requires_grad
        return tensor

    @staticmethod
    def _wrap(array: Any) -> Tensor:
        return Tensor(array)

    @property
    def _array(self) -> Array:
        """The values. Reading them computes a tensor that was deferred."""
        if self._deferred is not None:
            computed = self._deferred.evaluate()
            self._value, self._memory = computed._array, computed._memory
            self._node, self._index = computed._node, computed._index
            self._history, self._is_view = computed._history, computed._is_view
            self._deferred = None
        return self._value

    @property
    def _version(self) -> int:
        """How often the values were overwritten through our interface."""
        return self._memory.version

    def _before_write(self) -> None:
        """Announce that the values are about to be overwritten; whoever writes must call this."""
        self._memory.before_write()

    def _edge(self) -> Edge:
        """Where gradients of this tensor go."""
        if not self._requires_grad:
            return None
        if self._node is None:
            return self
        if self._history != self._memory.history:
            raise RuntimeError(
                "this tensor shares memory with one that was overwritten in place since, in a way "
                "that is recorded for backward: take the view again after the write"
            )
        return self._node, self._index

    def _prepare_write(self, source: Any) -> None:
        """Refuse or announce that values made from `source` are written into this tensor."""
        if _records((self, source)):
            if self._requires_grad and self.is_leaf:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation: "
                    "wrap it in `with minilm.no_grad():` if it shall not be recorded"
                )
            if self._is_view:
                raise RuntimeError(
                    "writing into a view cannot be recorded for backward: write into the tensor "
                    "itself, x[index] = values, or into a clone()"
                )
        self._before_write()

    def _take_history(self, result: Tensor) -> None:
        """Stand on the tape where `result` stands, whose values were written here."""
        if _records((self, result)):
            self._node, self._index = result._node, result._index
            self._requires_grad = result._requires_grad
            self._memory.history += 1
            self._history = self._memory.history

    def _share_memory(self, other: Tensor) -> None:
        """Note that the values lie in the memory of another tensor."""
        self._memory, self._history = other._memory, other._memory.history

    def _accumulate_grad(self, grad: Array, owned: bool) -> None:
        if self.grad is None:
            self.grad = Tensor(grad if owned else grad.copy())
        else:
            self.grad._before_write()
            self.grad._array[...] += grad

    def _grad_total(self) -> Array | None:
        """Announce that gradients are added to ``grad`` as it lies; None where that cannot be."""
        if not self._requires_grad or self.grad is None:
            return None
        array = self.grad._array
        if array.shape != self.shape or not can_be_added_to(array):
            return None
        self.grad._before_write()
        return array

    # --- what it is ---

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._value.shape if self._deferred is None else self._deferred.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements, a NumPy dtype."""
        return self._value.dtype if self._deferred is None else self._deferred.dtype

    @property
    def data(self) -> Tensor:
        """The same values without the tape; writing into them writes into this tensor."""
        return self.detach()

    @data.setter
    def data(self, values: TensorLike) -> None:
        source = as_tensor(values)
        _ = self._array  # a deferred tensor takes its place on the tape, and keeps it
        self._value, self._memory = source._array, source._memory

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` computes the gradient of this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf and not wanted:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables; "
                "use detach() for a tensor without gradient"
            )
        if wanted and self.dtype.kind != "f":
            raise RuntimeError(
                f"only tensors of floating point dtype can require gradients, not {self.dtype}"
            )
        self._requires_grad = bool(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad`, and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user, rather than by a recorded operation."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The operation on the tape that made this tensor."""
        if self._requires_grad and self._deferred is not None:
            _ = self._array
        return self._node

    # --- gradients ---

    def backward(self, gradient: TensorLike | None = None, retain_graph: bool = False) -> None:
        """Add the gradient of this tensor to ``grad`` of every leaf that it depends on.

        Parameters
        ----------
        gradient : Tensor or array, optional
            The gradient of some loss with respect to this tensor, of its shape. Left out for a
            tensor of one element, such as a loss: then it is 1.
        retain_graph : bool
            Keep what operations saved, so that `backward` can run again.

        Raises
        ------
        RuntimeError
            If nothing requires a gradient, the tensor has several elements and `gradient` is left
            out, the shape of `gradient` is another, the tape was freed by an earlier call, or a
            tensor that an operation had saved was overwritten since.
        """
        if not self._requires_grad:
            raise RuntimeError(
                "this tensor does not require grad and does not have a grad_fn: it was computed "
                "under no_grad(), or from tensors none of which requires gradients"
            )
        if gradient is None:
            if self.numel() != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs: this tensor has "
                    f"shape {self.shape}; reduce it with mean() or sum(), or pass gradient="
                )
            start = np.ones(self.shape, self.dtype)
        else:
            start = as_tensor(gradient)._array.astype(self.dtype, copy=False)
        if start.shape != self.shape:
            raise RuntimeError(
                f"Mismatch in shape: gradient has shape {start.shape}, the tensor {self.shape}"
            )
        run_backward(self, start, retain_graph)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in ``grad`` although it is not a leaf."""
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on a tensor that has requires_grad=False")
        node = self.grad_fn
        if node is not None:
            node.retained.append((self._index, weakref.ref(self)))

    def detach(self) -> Tensor:
        """Return the same values, in the same memory, without the tape."""
        same = Tensor(self._array)
        same._share_memory(self)
        return same

    # --- values for others ---

    def numpy(self) -> Array:
        """Return the values as a NumPy array that shares the tensor's memory.

        Raises
        ------
        RuntimeError
            If the tensor requires gradients, as in PyTorch: use ``tensor.detach().numpy()``.
        """
        if self._requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return format_tensor(self._array, self._requires_grad, self._node)

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise RuntimeError(
                "only leaf tensors can be copied by copy.deepcopy: this one is the result of an "
                "operation; detach() it first"
            )
        return type(self), (self._array, self._requires_grad), {"grad": self.grad}


TensorLike: TypeAlias = "Tensor | np.ndarray[Any, Any] | np.generic | bool | int | float"


def as_tensor(value: Any) -> Tensor:
    """Return a tensor as it is, and anything else that NumPy understands as a tensor."""
    return value if isinstance(value, Tensor) else Tensor(value)
