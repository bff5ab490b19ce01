"""What all optimizers share: parameter groups, their options, and the state they keep.

A subclass says what its options may be (`_check_options`) and updates parameters
(`_update_parameters`); everything else is here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minilm.grad_mode import enable_grad
from minilm.tensor import Tensor

Group: TypeAlias = dict[str, Any]
"""Options of some parameters, and under ``"params"`` the parameters."""


class Optimizer:
    """Base class of all optimizers.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor) or of dict
        What to optimize: parameters, named parameters, or groups: dicts with ``"params"`` and
        options that differ from `defaults`.
    defaults : dict
        Options of groups that do not say otherwise.

    Attributes
    ----------
    param_groups : list of dict
        The groups, with all their options. Writing into them takes effect at the next step.
    state : dict
        For each parameter what the optimizer remembers of it, by PyTorch's names.
    defaults : dict
        As given.

    Raises
    ------
    TypeError
        If `params` is a single Tensor, or holds something else than tensors.
    ValueError
        If there are no parameters, one is there twice, one is not a leaf of the tape, or an option
        is out of its range.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                "dicts, but got a Tensor: pass model.parameters(), or a list"
            )
        if hasattr(params, "parameters"):
            raise TypeError(
                f"the optimizer got a {type(params).__name__}, expected its parameters: pass "
                "model.parameters()"
            )
        self._check_options(defaults)
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        given = list(params)
        if not given:
            raise ValueError(
                "optimizer got an empty parameter list: was model.parameters() used up before, or "
                "does the model have no layers?"
            )
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    # --- for subclasses ---

    def _check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ValueError for an option that is out of its range."""
        raise NotImplementedError

    def _update_parameters(self, group: Group, params: list[Tensor]) -> None:
        """Take one step with `params`, all of which have a gradient."""
        raise NotImplementedError

    # --- groups ---

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, such as layers that were frozen until now.

        Parameters
        ----------
        param_group : dict
            ``"params"``, and options that differ from the defaults.

        Raises
        ------
        TypeError, ValueError
            As for the constructor.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        names, params = _names_and_params(param_group["params"])
        self._check_params(params)
        group = {**param_group, "params": params}
        if names:
            group["param_names"] = names
        if any(("param_names" in group) != ("param_names" in other) for other in self.param_groups):
            raise ValueError("all optimizer param groups should be with names, or all without")
        for name, default in self.defaults.items():
            group.setdefault(name, default)
        self._check_options(group)
        self.param_groups.append(group)

    def _check_params(self, params: list[Any]) -> None:
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for index, param in enumerate(params):
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but params[{index}] is "
                    f"{type(param).__name__}"
                )
            if not param.is_leaf:
                raise ValueError(
                    f"can't optimize a non-leaf Tensor: params[{index}] of shape {param.shape} is "
                    f"the result of {param.grad_fn}; optimize what it was made from, or detach() it"
                )
            if id(param) in seen:
                raise ValueError(
                    f"params[{index}] of shape {param.shape} is given twice; a parameter belongs "
                    "to one group, once"
                )
            seen.add(id(param))

    # --- training ---

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew, with its gradients, before the update.

        Returns
        -------
        object
            What `closure` returned; None without it.

        Raises
        ------
        TypeError, ValueError
            If a parameter is not float32 and contiguous, or has a gradient of another shape.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            for param in params:
                param._before_write()
            if params:
                self._update_parameters(group, params)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Parameters
        ----------
        set_to_none : bool
            Set ``grad`` to None, rather than to zeros.
        """
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    # --- what is saved ---

    def state_dict(self) -> dict[str, Any]:
        """Return the state in PyTorch's layout, with numbers in place of parameters.

        Returns
        -------
        dict
            ``"state"``: for the number of each parameter what is remembered of it;
            ``"param_groups"``: the groups, with numbers under ``"params"``. Tensors are shared with
            the optimizer, not copied.
        """
        params = [param for group in self.param_groups for param in group["params"]]
        number = {id(param): index for index, param in enumerate(params)}
        return {
            "state": {number[id(param)]: kept for param, kept in self.state.items()},
            "param_groups": [
                {**group, "params": [number[id(param)] for param in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copy a state into this optimizer; nothing changes if it does not fit.

        Parameters
        ----------
        state_dict : dict
            From `state_dict` of an optimizer of the same kind, ours or PyTorch's, over parameters
            of the same shapes in the same groups.

        Raises
        ------
        ValueError
            If groups, parameters or shapes differ.
        """
        saved_groups = state_dict["param_groups"]
        saved_sizes = [len(group["params"]) for group in saved_groups]
        sizes = [len(group["params"]) for group in self.param_groups]
        if saved_sizes != sizes:
            raise ValueError(
                "loaded state dict has other parameter groups: expected groups of "
                f"{sizes} parameters, got {saved_sizes}"
            )
        groups = [
            {**group, **saved, "params": group["params"]}
            for group, saved in zip(self.param_groups, saved_groups, strict=True)
        ]
        for group in groups:
            self._check_options(group)
        numbers = [number for group in saved_groups for number in group["params"]]
        params = [param for group in groups for param in group["params"]]
        param_of = dict(zip(numbers, params, strict=True))
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, kept in state_dict["state"].items():
            if number not in param_of:
                raise ValueError(f"loaded state dict has a state for {number!r}, in no group")
            param = param_of[number]
            state[param] = {
                name: _copied(
                    value, () if name == "step" else param.shape, f"state[{number}][{name!r}]"
                )
                for name, value in kept.items()
            }
        self.param_groups[:] = groups
        self.state = state

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


# --- parameters -----------------------------------------------------------------------------------


def _names_and_params(given: Any) -> tuple[list[str], list[Any]]:
    """Take a Tensor, tensors, or pairs of name and tensor apart."""
    if isinstance(given, set | frozenset):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering "
            "of tensors in sets will change between runs. Please use a list instead."
        )
    items = [given] if isinstance(given, Tensor) else list(given)
    pairs = [item for item in items if isinstance(item, tuple)]
    if pairs and len(pairs) < len(items):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    names = [name for name, _ in pairs]
    return names, [param for _, param in pairs] if pairs else items


def refuse(**options: bool | None) -> None:
    """Raise for options of PyTorch's optimizers that would change results and are not ours.

    Raises
    ------
    ValueError
        If one of them is true.
    """
    for name, wanted in options.items():
        if wanted:
            raise ValueError(f"{name}=True is not supported by minilm's optimizers; leave it out")


def check_range(options: Mapping[str, Any], **names: str) -> None:
    """Raise for an option that is not a number from 0 up.

    Parameters
    ----------
    options : mapping
        All options.
    **names : str
        For the name of each option to look at, what to call it in the message.

    Raises
    ------
    ValueError
        If one is negative or NaN.
    """
    for name, title in names.items():
        if not options[name] >= 0.0:
            raise ValueError(f"Invalid {title}: {options[name]}; {name} must not be negative")


# --- arrays and state -----------------------------------------------------------------------------


def arrays_of(tensors: Iterable[Tensor]) -> list[np.ndarray]:
    """Return the arrays to be overwritten; the kernels check that they may be."""
    return [tensor._array for tensor in tensors]


def grads_of(params: Iterable[Tensor]) -> list[np.ndarray]:
    """Return the gradients, in order in memory: one that was transposed on its way is copied."""
    grads = [param.grad._array for param in params if param.grad is not None]
    return [g if g.flags.c_contiguous else np.ascontiguousarray(g) for g in grads]


def zeros_like(param: Tensor) -> Tensor:
    """Return zeros of the parameter's shape, to be kept as state."""
    return Tensor(np.zeros(param.shape, param.dtype))


def by_next_step(state: Mapping[Tensor, dict[str, Any]], params: list[Tensor]) -> Any:
    """Group parameters by the number of the step that they take now.

    It differs between parameters where some had no gradient at times.

    Returns
    -------
    items view of dict
        Pairs of the number, from 1, and its parameters.
    """
    groups: dict[int, list[Tensor]] = defaultdict(list)
    for param in params:
        groups[int(state[param]["step"]) + 1].append(param)
    return groups.items()


def count_step(state: Mapping[Tensor, dict[str, Any]], params: list[Tensor]) -> None:
    """Count one step more for each parameter."""
    for param in params:
        step = state[param]["step"]._array
        step += 1


def _copied(value: Any, shape: tuple[int, ...], where: str) -> Tensor | None:
    """Copy one entry of a saved state into a tensor."""
    if value is None:
        return None
    array = np.array(value, np.float32)
    if array.shape != shape:
        raise ValueError(f"loaded {where}: expected the shape {shape}, got {array.shape}")
    return Tensor(array)
