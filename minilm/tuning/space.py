"""What to try: a search space, read from TOML or a dictionary."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_type_hints

from minilm.models.checks import share
from minilm.training.arguments import check_names
from minilm.training.recipe import Recipe
from minilm.training.settings import Architecture, Settings

GROUPS: dict[str, type] = {"architecture": Architecture, "settings": Settings}
OWNER = {field.name: group for group, kind in GROUPS.items() for field in fields(kind)}
TYPES: dict[str, type] = {  # that of `int | None` is int: None means that nobody chose
    name: (get_args(hint) or (hint,))[0]
    for kind in GROUPS.values()
    for name, hint in get_type_hints(kind).items()
}
RANGE_KEYS = ["low", "high", "log", "step"]


@dataclass(frozen=True)
class Choices:
    """One of several values.

    Attributes
    ----------
    values : tuple
        At least one, all different.
    """

    values: tuple[Any, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {"choices": list(self.values)}


@dataclass(frozen=True)
class Range:
    """A number between two bounds, both of which count.

    Attributes
    ----------
    low, high : int or float
        The bounds.
    log : bool
        Whether ratios rather than differences are spread evenly.
    step : int or float, optional
        Only `low` and what lies whole steps above it.
    whole : bool
        Whether it is an integer.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def values(self) -> tuple[Any, ...]:
        """All values, where they can be counted; empty where they cannot."""
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            return ()
        low, high, width = (Decimal(str(one)) for one in (self.low, self.high, step))
        count = int((high - low) / width) + 1
        kind = int if self.whole else float  # 0.1 + 2 * 0.1 is 0.3 in decimals, not in binary
        return tuple(kind(low + number * width) for number in range(count))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {name: getattr(self, name) for name in RANGE_KEYS}


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes
    ----------
    parameters : dict
        For each name what to try, `Choices` or `Range`.
    fixed : dict
        Names whose value is the same in all trials.
    where : str
        What it was read from, for messages.
    """

    parameters: dict[str, Choices | Range]
    fixed: dict[str, Any]
    where: str = "the search space"

    def grid(self) -> dict[str, tuple[Any, ...]]:
        """Return the values of each parameter, for trying all combinations.

        Raises
        ------
        ValueError
            If a parameter has too many to be counted; the message names it.
        """
        for name, one in self.parameters.items():
            if not one.values:
                raise ValueError(
                    f"{self.where}: {name}: a grid needs values that can be counted: give a list, "
                    "or a step without log"
                )
        return {name: one.values for name, one in self.parameters.items()}

    def recipe(self, base: Recipe, hyperparameters: Mapping[str, Any]) -> Recipe:
        """Return a recipe with what is fixed, and with the values of one trial, put in."""
        chosen = {**self.fixed, **hyperparameters}
        parts = {
            group: dataclasses.replace(
                getattr(base, group),
                **{name: value for name, value in chosen.items() if OWNER[name] == group},
            )
            for group in GROUPS
        }
        return dataclasses.replace(base, **parts)

    def to_dict(self) -> dict[str, Any]:
        """Return names and what they may be, as JSON holds it, in the order of names."""
        searched = {name: one.to_dict() for name, one in self.parameters.items()}
        return dict(sorted({**searched, **self.fixed}.items()))


def read_space(source: str | Path | Mapping[str, Any] | Space, *, free: bool = False) -> Space:
    """Read a search space.

    Parameters
    ----------
    source : path or mapping
        A TOML file, or what one holds: names of `Settings` and `Architecture`, alone or as
        ``settings.lr``, each with a list of values, with ``{low = , high = , log = , step = }``,
        or with a single value that all trials share.
    free : bool
        Allow any name: for an objective of one's own.

    Returns
    -------
    Space

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not TOML; if a name is unknown (the message gives the nearest); if there is
        nothing to try, or a value that cannot be. The message names file and key.

    Examples
    --------
    >>> space = read_space({"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "hidden": [32, 64]})
    >>> space.parameters["hidden"].values
    (32, 64)
    """
    if isinstance(source, Space):
        return source
    where, values = _read(source)
    entries = dict(_flat(values, where, free))
    parameters = {
        name: _parameter(f"{where}: {name}", value, None if free else TYPES[name])
        for name, value in sorted(entries.items())
        if isinstance(value, list | tuple | Mapping)
    }
    fixed = {name: value for name, value in sorted(entries.items()) if name not in parameters}
    if not parameters:
        raise ValueError(
            f"{where}: there is nothing to search: give at least one name a list of values, or "
            "{low = ..., high = ...}"
        )
    for name, value in fixed.items():
        fixed[name] = _checked(f"{where}: {name}", value, None if free else TYPES[name])
    if not free:
        _try_each(where, parameters, fixed)
    return Space(parameters, fixed, where)


def _read(source: str | Path | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if isinstance(source, Mapping):
        return "the search space", source
    text = Path(source).read_bytes()
    try:
        return str(source), tomllib.loads(text.decode("utf-8"))
    except ValueError as error:  # of the text or of TOML
        raise ValueError(f"{source} is not TOML in UTF-8: {error}") from None


def _flat(values: Mapping[str, Any], where: str, free: bool) -> Iterator[tuple[str, Any]]:
    """Yield plain names and values: ``lr`` for ``lr``, ``settings.lr`` and ``[settings] lr``."""
    if free:
        yield from values.items()
        return
    seen: dict[str, str] = {}
    for given, value in _dotted(values, where):
        group, _, name = given.rpartition(".")
        known = [field.name for field in fields(GROUPS[group])] if group else list(OWNER)
        check_names(f"{where}: {group}" if group else where, {name: value}, known)
        if name in seen:
            raise ValueError(f"{where}: {name} is given twice, as {seen[name]} and as {given}")
        seen[name] = given
        yield name, value


def _dotted(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for given, value in values.items():
        group = given.partition(".")[0]
        if "." in given:
            check_names(where, {group: value}, list(GROUPS))
        if given in GROUPS and isinstance(value, Mapping):
            yield from ((f"{given}.{name}", inner) for name, inner in value.items())
        else:
            yield given, value


def _parameter(key: str, value: Any, kind: type | None) -> Choices | Range:
    if isinstance(value, Mapping):
        return _range(key, value, kind)
    values = tuple(_checked(key, one, kind) for one in value)
    if not values:
        raise ValueError(f"{key} has no values to try: give at least one, as in [1, 2]")
    if len(set(values)) < len(values):
        raise ValueError(f"{key} has a value twice: {list(values)}")
    return Choices(values)


def _range(key: str, value: Mapping[str, Any], kind: type | None) -> Range:
    check_names(key, value, RANGE_KEYS)
    missing = [name for name in ("low", "high") if name not in value]
    if missing:
        raise ValueError(f"{key} has no {' and no '.join(missing)}: a range is {{low=, high=}}")
    numbers = {name: value[name] for name in ("low", "high", "step") if name in value}
    for name, one in numbers.items():
        if isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one):
            raise ValueError(f"{key}: {name} must be a number; got {one!r}")
    if kind is None:
        kind = int if all(isinstance(one, int) for one in numbers.values()) else float
    if kind in (str, bool):
        raise ValueError(f"{key} is not a number: give a list of values")
    numbers = {name: _checked(f"{key}: {name}", one, kind) for name, one in numbers.items()}
    low, high, step, log = numbers["low"], numbers["high"], numbers.get("step"), value.get("log")
    if low > high:
        raise ValueError(f"{key}: low {low} is above high {high}: exchange them")
    if log not in (None, True, False):
        raise ValueError(f"{key}: log must be true or false; got {log!r}")
    if log and low <= 0:
        raise ValueError(f"{key}: log needs low above 0; got {low}: begin at a small number")
    if step is not None and (step <= 0 or log):
        what = "cannot be combined with log" if log else f"must be above 0; got {step}"
        raise ValueError(f"{key}: step {what}")
    found = Range(low, high, bool(log), step, kind is int)
    return dataclasses.replace(found, high=found.values[-1]) if step else found


def _checked(key: str, value: Any, kind: type | None) -> Any:
    """Return a value as its kind; None allows any that a journal can keep."""
    if kind is None and isinstance(value, str | int | float | bool):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is None or not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        expected = NAMES[kind]
        raise ValueError(f"{key} must be {expected}; got {value!r}")
    return value


NAMES: dict[type | None, str] = {
    int: "a whole number",
    float: "a number",
    str: "a name in quotes",
    bool: "true or false",
    None: "a number, a name, true or false",
}


def _try_each(where: str, parameters: Mapping[str, Choices | Range], fixed: Any) -> None:
    """Refuse before anything is trained what no model or training could be made with."""
    extremes = {
        name: one.values if isinstance(one, Choices) else (one.low, one.high)
        for name, one in parameters.items()
    }
    for name, values in (extremes | {name: (value,) for name, value in fixed.items()}).items():
        for value in values:
            try:
                _try(name, value)
            except ValueError as error:
                raise ValueError(f"{where}: {name}: {value!r} cannot be: {error}") from None


def _try(name: str, value: Any) -> None:
    if TYPES[name] is int and value < (0 if name in MAY_BE_ZERO else 1):
        raise ValueError("it is too small")
    if OWNER[name] == "settings":
        Settings(**{name: value}).arguments(None)
    else:
        Architecture(**{name: value})
    if name == "dropout":
        share(name, value)


MAY_BE_ZERO = {"patience", "save_steps", "seed"}
