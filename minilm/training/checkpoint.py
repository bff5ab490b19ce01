"""Checkpoints: folders from which a run goes on exactly, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.atomic import atomic_folder, atomic_write, hidden_name
from minilm.json_text import to_json
from minilm.models.folder import WEIGHTS, load_weights, pretrained_files, weight_bytes
from minilm.models.pretrained import PretrainedModel
from minilm.serialization import load, to_bytes
from minilm.training.callback import TrainerState
from minilm.warn import warn_caller

TRAINING_STATE = "training_state.safetensors"
TRAINER_STATE = "trainer_state.json"
IDENTITY = "identity.json"
CHECKSUMS = "checksums.json"
RUN_ID = ".run"
MOST_DIFFERENCES = 6  # that are told
_NAME = re.compile(r"\.?checkpoint-(\d+)(\.[0-9a-f]+\.tmp)?")


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or of another run; the message says what differs."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes
    ----------
    folder : Path
        Where it is.
    snapshot : dict
        For :func:`minilm.training.snapshot.load_snapshot`.
    """

    folder: Path
    snapshot: dict[str, Any]

    def load_weights(self, model: Any) -> None:
        """Give a model the weights of the checkpoint."""
        load_weights(model, self.folder / WEIGHTS)


class CheckpointFolder:
    """The checkpoints of a run: ``checkpoint-500`` and so on in its folder.

    Each holds ``config.json``, ``model.safetensors`` and ``tokenizer.json``, as
    :func:`minilm.models.from_pretrained` takes them; ``training_state.safetensors``, all else that
    a run consists of; ``trainer_state.json``, the part of it that people read; ``identity.json``,
    what it was trained on and how; and the checksums of them all.

    Parameters
    ----------
    folder : Path
        The run's; made when missing.
    identity : mapping
        What must be the same in a run that goes on: names and what JSON can hold.
    tokenizer : tokenizers.Tokenizer, optional
        Saved with the model.
    limit : int, optional
        Checkpoints to keep; the oldest go first. The best one stays in any case.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any] | None = None,
        tokenizer: Any = None,
        limit: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.identity = dict(identity or {})
        self.tokenizer = tokenizer
        self.limit = limit

    # --- whose they are ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a run: checkpoints that an earlier one left here are not this one's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex.encode("utf-8")  # of the system's, not of a stream of the run's
        atomic_write(self.folder / RUN_ID, lambda file: file.write(name))

    @property
    def _run(self) -> str | None:
        """The run that began last in the folder; None of a folder that knows of none."""
        path = self.folder / RUN_ID
        return path.read_text("utf-8") if path.is_file() else None

    def _is_own(self, path: Path) -> bool:
        """Tell whether the last run wrote a checkpoint; also if that cannot be read."""
        run = self._run
        try:
            identity = json.loads((path / IDENTITY).read_text("utf-8"))
        except (OSError, ValueError):
            return True
        return run is None or (isinstance(identity, dict) and identity.get("run") == run)

    # --- writing ----------------------------------------------------------------------------------

    def path_of(self, step: int) -> Path:
        """Return where the checkpoint of a step is, or will be."""
        return self.folder / f"checkpoint-{step}"

    def write(self, model: Any, snapshot: dict[str, Any], state: TrainerState) -> Path:
        """Write a checkpoint, and remove those that are too many.

        Parameters
        ----------
        model : nn.Module
            Its weights as they are now.
        snapshot : dict
            From :func:`minilm.training.snapshot.take_snapshot`.
        state : TrainerState
            Where the run stands.

        Returns
        -------
        Path
            The checkpoint's folder.

        Raises
        ------
        OSError
            If it cannot be written; then all older ones are as they were.
        """
        target = self.path_of(state.global_step)
        files = _model_files(model, self.tokenizer)
        files[TRAINING_STATE] = to_bytes(snapshot)
        files[TRAINER_STATE] = to_json(state.to_dict()).encode("utf-8")
        files[IDENTITY] = to_json({**self.identity, "run": self._run}).encode("utf-8")
        files[CHECKSUMS] = to_json({name: _digest(data) for name, data in files.items()}).encode()
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_folder(target, files)
        self._remove_oldest(state)
        return target

    def _remove_oldest(self, state: TrainerState) -> None:
        if self.limit is None:
            return
        steps = {state.global_step, state.best_global_step}
        paths = [self.path_of(step) for step in steps if step is not None]
        kept = [path for path in paths if path.is_dir()]
        others = [path for path in self._named() if path not in kept]
        others.sort(key=self._is_own, reverse=True)  # an earlier run's go first
        spare = self.limit - len(kept)
        for path in others[max(spare, 0) :]:
            _remove(path)

    def clear_leftovers(self) -> None:
        """Remove what a crash left half written."""
        for path in self._candidates():
            if path.name.startswith("."):
                _remove(path)

    # --- reading ----------------------------------------------------------------------------------

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint of the last run that is whole; None where there is none.

        Warns of each that is damaged and passed over.

        Raises
        ------
        CheckpointError
            If there are some, but none is whole, or the newest whole one is of another run.
        """
        damaged = []
        for path in filter(self._is_own, self._candidates()):
            try:
                return self.read(path)
            except _DamagedError as error:
                if not path.name.startswith("."):  # what a crash left half written is no loss
                    damaged.append(str(error))
                    warn_caller(f"{error}; taking the one before it")
        if damaged:
            raise CheckpointError(f"no checkpoint in {self.folder} is whole: {'; '.join(damaged)}")
        return None

    def read(self, path: str | Path) -> Checkpoint:
        """Return what one checkpoint holds.

        Raises
        ------
        CheckpointError
            If it is damaged, or of another run.
        """
        path = Path(path)
        _verify(path)
        identity = json.loads((path / IDENTITY).read_text("utf-8"))
        identity.pop("run", None)
        _check_identity(path, identity, self.identity)
        return Checkpoint(path, load(path / TRAINING_STATE))

    def _candidates(self) -> list[Path]:
        """Return all folders that may be checkpoints, complete or not, the newest first."""
        if not self.folder.is_dir():
            return []
        found = [
            (int(match[1]), not path.name.startswith("."), path)
            for path in self.folder.iterdir()
            if (match := _NAME.fullmatch(path.name)) and path.is_dir()
        ]
        return [path for _, _, path in sorted(found, reverse=True)]

    def _named(self) -> list[Path]:
        return [path for path in self._candidates() if not path.name.startswith(".")]


class _DamagedError(CheckpointError):
    """A checkpoint that cannot be used by anybody."""


def _model_files(model: Any, tokenizer: Any) -> dict[str, bytes]:
    if isinstance(model, PretrainedModel):
        return pretrained_files(model, tokenizer)
    return {WEIGHTS: weight_bytes(model)}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _verify(path: Path) -> None:
    """Raise unless all files of a checkpoint are there, as they were written."""
    try:
        expected = json.loads((path / CHECKSUMS).read_text("utf-8"))
        for name, digest in expected.items():
            if _digest((path / name).read_bytes()) != digest:
                raise _DamagedError(f"{path}: {name} is damaged (its checksum is another)")
        missing = {WEIGHTS, TRAINING_STATE, TRAINER_STATE, IDENTITY} - set(expected)
    except (OSError, ValueError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        what = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
        raise _DamagedError(f"{path} is no complete checkpoint ({what})") from None
    if missing:
        raise _DamagedError(f"{path} is no complete checkpoint (without {', '.join(missing)})")


def _check_identity(path: Path, saved: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    differing = _differences(saved, ours)
    if len(differing) > MOST_DIFFERENCES:
        more = len(differing) - MOST_DIFFERENCES
        differing = [*differing[:MOST_DIFFERENCES], f"and {more} more"]
    if differing:
        raise CheckpointError(
            f"{path} is of another run: {'; '.join(differing)}. A run goes on with the data, the "
            "tokenizer, the architecture and the settings that it began with; to train on with "
            "others, begin a new run from its weights"
        )


def _differences(saved: Mapping[str, Any], ours: Mapping[str, Any], part: str = "") -> list[str]:
    """Return what differs, a line for each name; within a part, its own names."""
    found = []
    for name in dict.fromkeys([*ours, *saved]):
        here, there = ours.get(name), saved.get(name)
        if here == there:
            continue
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            found += _differences(there, here, f"{part}{name}: ")
        else:
            found.append(f"{part}{name} is {_short(here)}, was {_short(there)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _remove(path: Path) -> None:
    """Remove a checkpoint; if that is cut short, what remains has no checkpoint's name."""
    hidden = path if path.name.startswith(".") else path.rename(hidden_name(path))
    shutil.rmtree(hidden, ignore_errors=True)
