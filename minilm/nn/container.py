"""Modules that hold other modules: in order, or by name."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from minilm.nn.module import Module


class _Ordered(Module):
    """Modules named ``"0"``, ``"1"``, ... that can be indexed."""

    def _values(self) -> list[Any]:
        return list(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values())

    def _name_at(self, index: int) -> str:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} modules")
        return list(self._modules)[index]

    def _rebuild(self, modules: Iterable[Module]) -> None:
        self._modules.clear()
        for position, module in enumerate(modules):
            self.register_module(str(position), module)

    def _of(self, modules: list[Module]) -> Self:
        """Make another of this kind."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._of(self._values()[index])
        return self._modules[self._name_at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self.register_module(self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        modules = self._values()
        del modules[index]
        self._rebuild(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.register_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at `index`."""
        modules = self._values()
        modules.insert(index, module)
        self._rebuild(modules)


class Sequential(_Ordered):
    """Modules that each take the output of the one before.

    Parameters
    ----------
    *args : Module, or one dict of str to Module
        The modules, in order.

    Examples
    --------
    >>> nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.register_module(name, module)
        else:
            self.extend(args)

    def _of(self, modules: list[Module]) -> Self:
        return type(self)(*modules)

    def forward(self, input: Any) -> Any:  # noqa: A002
        """Pass the input through all modules."""
        for module in self:
            input = module(input)  # noqa: A001
        return input


class ModuleList(_Ordered):
    """A list of modules; it registers them, and leaves it to you how they are used.

    Parameters
    ----------
    modules : iterable of Module, optional
        The modules, in order.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def _of(self, modules: list[Module]) -> Self:
        return type(self)(modules)

    def __repr__(self) -> str:
        """Show equal neighbours once, as PyTorch does: ``(0-2): 3 x Linear(...)``."""
        texts = [repr(module) for module in self]
        if not texts:
            return f"{self._get_name()}()"
        lines = []
        start = 0
        for end in range(1, len(texts) + 1):
            if end < len(texts) and texts[end] == texts[start]:
                continue
            count = end - start
            name = f"({start}): " if count == 1 else f"({start}-{end - 1}): {count} x "
            lines.append("  " + (name + texts[start]).replace("\n", "\n  "))
            start = end
        return f"{self._get_name()}(\n" + "\n".join(lines) + "\n)"


class ModuleDict(Module):
    """Modules by name; it registers them, and leaves it to you how they are used.

    Parameters
    ----------
    modules : mapping or iterable of (str, Module), optional
        The modules, in order.

    Examples
    --------
    >>> heads = nn.ModuleDict({"next": nn.Linear(8, 4), "topic": nn.Linear(8, 2)})
    >>> heads["topic"]
    Linear(in_features=8, out_features=2, bias=True)
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or put them in the place of those that have their names."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.register_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        """Return the modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        """Return pairs of names and modules."""
        return self._modules.items()

    def pop(self, name: str) -> Any:
        """Remove a module, and return it."""
        return self._modules.pop(name)

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()
