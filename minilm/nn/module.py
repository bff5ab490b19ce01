"""Module: what layers and models have in common.

A module registers what is assigned to its attributes: parameters, buffers (tensors that are saved
but not learned) and other modules. From that follow `parameters`, `state_dict`, `train` and the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from minilm.grad_mode import no_grad
from minilm.methods.conversion import parse_to
from minilm.nn.hooks import ForwardHooks
from minilm.nn.parameter import Parameter
from minilm.tensor import Tensor, TensorLike, as_tensor

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` could not match when it was not strict."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(ForwardHooks):
    """Base class of layers and models.

    A subclass calls ``super().__init__()``, assigns its parts to attributes, and defines
    ``forward``; calling the module calls ``forward``.

    Attributes
    ----------
    training : bool
        Whether the module is being trained: dropout acts only then. See `train` and `eval`.

    Examples
    --------
    >>> class RNNModel(nn.Module):
    ...     def __init__(self, vocab_size, embed_size, hidden_size):
    ...         super().__init__()
    ...         self.embedding = nn.Embedding(vocab_size, embed_size)
    ...         self.rnn = nn.RNN(embed_size, hidden_size, batch_first=True)
    ...         self.fc = nn.Linear(hidden_size, vocab_size)
    ...
    ...     def forward(self, ids):
    ...         hidden, _ = self.rnn(self.embedding(ids))
    ...         return self.fc(hidden)
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent: set[str]

    def __init__(self) -> None:
        for registry in _REGISTRIES:
            object.__setattr__(self, registry, {})
        object.__setattr__(self, "_non_persistent", set())
        object.__setattr__(self, "training", True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output; a subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, then the hooks."""
        output = self.forward(*args, **kwargs)
        return output if not self._forward_hooks else self._after_forward(args, output)

    # --- attributes ---

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.register_module(name, value)
        elif name in self.__dict__.get("_buffers", ()):
            self.register_buffer(name, value, name not in self._non_persistent)
        elif name in self.__dict__.get("_parameters", ()):
            self.register_parameter(name, value)
        elif name in self.__dict__.get("_modules", ()):
            self.register_module(name, value)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:  # only called for what is no ordinary attribute
        if name in _REGISTRIES:
            raise AttributeError(
                f"{type(self).__name__}: Module.__init__() was not called: call "
                "super().__init__() first in its __init__"
            )
        for registry in _REGISTRIES:
            entries = self.__dict__.get(registry, {})
            if name in entries:
                return entries[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, {}):
                del self.__dict__[registry][name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        registered = [name for registry in _REGISTRIES for name in self.__dict__.get(registry, {})]
        return sorted({*super().__dir__(), *registered})

    def _registry(self, registry: str) -> dict[str, Any]:
        """Return one of the registries; it is missing if ``super().__init__()`` was forgotten."""
        entries: dict[str, Any] | None = self.__dict__.get(registry)
        if entries is None:
            raise AttributeError(
                f"cannot assign to a {type(self).__name__} before Module.__init__() call: call "
                "super().__init__() first in its __init__"
            )
        return entries

    def _register(self, registry: str, name: str, value: Any) -> None:
        entries = self._registry(registry)
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"a name must be text without a dot, and not empty; got {name!r}")
        if name not in entries and hasattr(self, name):
            taken = [other for other in _REGISTRIES if name in self.__dict__[other]]
            if not taken and name not in self.__dict__:
                raise KeyError(f"attribute {name!r} already exists")
            for other in taken:
                del self.__dict__[other][name]
            self.__dict__.pop(name, None)
        entries[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None reserves the name for one that is not there.

        Raises
        ------
        TypeError
            If `param` is not a Parameter.
        """
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign a {type(param).__name__} as parameter {name!r}: expected an "
                "nn.Parameter or None"
            )
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module but is not learned.

        Parameters
        ----------
        name : str
            Its attribute.
        tensor : Tensor or None
            The buffer.
        persistent : bool
            Whether it is part of `state_dict`.
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign a {type(tensor).__name__} as buffer {name!r}: expected a Tensor "
                "or None"
            )
        self._register("_buffers", name, tensor)
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a module as a part of this one."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"cannot assign a {type(module).__name__} as module {name!r}: expected an "
                "nn.Module or None"
            )
        self._register("_modules", name, module)

    add_module = register_module

    # --- parts ---

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules directly in this one, with their names, each once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the modules directly in this one."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all modules in it, with names like ``encoder.rnn``."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all modules in it."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with names like ``rnn.weight_ih_l0``; shared ones once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters; what an optimizer is given."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers with their names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def _named(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        modules: Any = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        seen: set[Tensor] = set()
        for path, module in modules:
            for name, value in getattr(module, registry).items():
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield _join(path, name), value

    def get_submodule(self, target: str) -> Module:
        """Return the module of a name like ``encoder.rnn``.

        Raises
        ------
        AttributeError
            If there is none.
        """
        module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no module {name!r}")
            module = found
        return module

    # --- saving and loading ---

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Return parameters and buffers by name.

        Parameters
        ----------
        prefix : str
            Put before every name.
        keep_vars : bool
            Return the parameters themselves, not tensors that share their memory.
        """
        state = {}
        for path, module in self.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
            for name, value in {**module._parameters, **module._buffers}.items():
                if value is not None and name not in module._non_persistent:
                    state[_join(path, name)] = value if keep_vars else value.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, TensorLike], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers, by name.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or array
            As `state_dict` returns it; PyTorch's names and layouts are the same.
        strict : bool
            Refuse if names are missing or unexpected. Shapes must fit in any case.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``.

        Raises
        ------
        RuntimeError
            If something does not fit: the message names all of it. Nothing is loaded then.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict: expected a dictionary, got {type(state_dict).__name__}"
            )
        own = self.state_dict(keep_vars=True)
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        given = {name: as_tensor(state_dict[name]) for name in own if name in state_dict}
        problems = _name_problems(missing, unexpected) if strict else []
        problems += _shape_problems(own, given)
        if problems:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(problems)
            )
        with no_grad():
            for name, values in given.items():
                own[name].copy_(values)
        return IncompatibleKeys(missing, unexpected)

    # --- modes ---

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all in it to training: dropout acts."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode is expected to be boolean, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch this module and all in it to evaluation: dropout does not act."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set for all parameters whether they are learned."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` with every module in this one, and then with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return the module: it is on the CPU, in float32.

        Raises
        ------
        RuntimeError
            If another device than ``"cpu"``, or another dtype than float32, is asked for.
        """
        dtype = parse_to(*args, **kwargs)
        if dtype is not None and dtype != "float32":
            raise RuntimeError(f"to: modules compute in float32, not {dtype}")
        return self

    def float(self) -> Self:
        """Return the module: it computes in float32."""
        return self

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """Raise RuntimeError: minilm runs on the CPU."""
        return self.to("cuda")

    def cpu(self) -> Self:
        """Return the module: it is on the CPU."""
        return self

    # --- text ---

    def extra_repr(self) -> str:
        """Return what `repr` shows between the parentheses."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        parts = [f"({name}): {_indent(repr(part))}" for name, part in self._modules.items()]
        if len(extra) == 1 and not parts:
            return f"{self._get_name()}({extra[0]})"
        lines = extra + parts
        inside = "\n  " + "\n  ".join(lines) + "\n" if lines else ""
        return f"{self._get_name()}({inside})"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")


def _name_problems(missing: list[str], unexpected: list[str]) -> list[str]:
    """Say which names are on one side only, in PyTorch's words."""
    problems = []
    for kind, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            listed = ", ".join(f'"{name}"' for name in names)
            problems.append(f"{kind} key(s) in state_dict: {listed}. ")
    return problems


def _shape_problems(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Say which values have another shape than the parameter, in PyTorch's words."""
    return [
        f"size mismatch for {name}: copying a param with shape {values.shape} from checkpoint, "
        f"the shape in current model is {own[name].shape}."
        for name, values in given.items()
        if values.shape != own[name].shape
    ]
