"""Functions that look on while a module runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

Hook = Callable[[Any, tuple[Any, ...], Any], Any]


class RemovableHandle:
    """Takes a hook away again: by `remove`, or at the end of a ``with`` block."""

    def __init__(self, hooks: dict[RemovableHandle, Hook]) -> None:
        self._hooks = hooks

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class ForwardHooks:
    """What a module has of hooks; :class:`minilm.nn.Module` is one."""

    _forward_hooks: dict[RemovableHandle, Hook] | None = None

    def register_forward_hook(self, hook: Hook) -> RemovableHandle:
        """Have a function called each time that the module has run.

        Parameters
        ----------
        hook : callable
            ``hook(module, args, output)``; what it returns takes the place of the output, if that
            is not None.

        Returns
        -------
        RemovableHandle
            Its ``remove()`` takes the hook away.

        Examples
        --------
        >>> with model.rnn.register_forward_hook(lambda module, args, output: print(output[0])):
        ...     model(ids)
        """
        if self._forward_hooks is None:
            self._forward_hooks = {}
        handle = RemovableHandle(self._forward_hooks)
        self._forward_hooks[handle] = hook
        return handle

    @property
    def has_hooks(self) -> bool:
        """Whether somebody looks on: then the module must be called, and not what equals it."""
        return bool(self._forward_hooks)

    def _after_forward(self, args: tuple[Any, ...], output: Any) -> Any:
        for hook in tuple((self._forward_hooks or {}).values()):
            changed = hook(self, args, output)
            output = output if changed is None else changed
        return output
