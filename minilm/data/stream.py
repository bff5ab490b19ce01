"""One long text cut into lanes that are read side by side."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from minilm.data.checks import positive_int, same_settings, token_ids

IGNORED = -100  # the target that cross_entropy leaves out


class Window(tuple[np.ndarray, np.ndarray]):
    """A batch of a stream: the pair ``(inputs, targets)``, and how a state is to be led through it.

    :func:`minilm.models.window_loss` reads one as it asks to be read.

    Parameters
    ----------
    inputs, targets : ndarray of int64
        Ids ``(batch, time)``. Targets of -100 do not count.
    starts : ndarray of bool, optional
        ``(batch, time)``, true where an input token starts a document: a lane reads it from a
        state of zeros. None where none does.
    cuts : tuple of int
        Time steps before which gradients are cut: the state goes on, the tape does not.
    carry : int, optional
        The state that the next window starts from is the one after so many tokens of this one;
        all of them if left out.

    Attributes
    ----------
    inputs, targets, starts, cuts, carry
        As above.
    """

    starts: np.ndarray | None
    cuts: tuple[int, ...]
    carry: int

    def __new__(  # noqa: D102 - the class's docstring says it
        cls,
        inputs: np.ndarray,
        targets: np.ndarray,
        *,
        starts: np.ndarray | None = None,
        cuts: tuple[int, ...] = (),
        carry: int | None = None,
    ) -> Self:
        self = super().__new__(cls, (inputs, targets))
        self.starts = starts
        self.cuts = cuts
        self.carry = inputs.shape[1] if carry is None else carry
        return self

    def __getnewargs__(self) -> tuple[np.ndarray, np.ndarray]:  # for copies
        return self[0], self[1]

    @property
    def inputs(self) -> np.ndarray:
        """The ids to read, ``(batch, time)``."""
        return self[0]

    @property
    def targets(self) -> np.ndarray:
        """The id that follows each of them, or -100."""
        return self[1]


class StreamLoader:
    """Windows of one long text in their order, for models that carry their state along.

    The stream is cut into `batch_size` lanes; batch k holds window k of every lane, so that each
    row goes on where the same row of the batch before ended. Each pass starts at another offset,
    so that windows are cut at other places; what is left over changes with it.

    **Truncated backpropagation through time** has two lengths (Sutskever 2013, *Training Recurrent
    Neural Networks*, section 2.8.6): a step is taken every `k1` tokens, and gradients flow back
    through at most `k2`. One lane of twelve tokens, each line a window::

        k1 = k2 = 4       k1 = 2, k2 = 4    k1 = 4, k2 = 2

        abcd              abcd              ab|cd
            efgh           (cd)ef                ef|gh
                ijkl         (ef)gh                   ij|kl

    With ``k2 > k1`` windows overlap. What stands in parentheses was predicted by the window before
    and is read again, so that gradients reach back through it; its targets do not count, and the
    next window starts from the state after the first `k1` tokens. With ``k2 < k1`` gradients are
    cut at the bar, every `k2` tokens; the state goes on.

    **Documents** start from a state of zeros, each lane on its own, in the middle of a window too.
    A separator, `document_start`, belongs to the document that it opens. Being the first thing
    after a document, it also says that the document has ended, and so the last token of a document
    is to predict it. Where positions alone tell documents apart, `document_starts`, there is
    nothing that ends one, and the last token of a document predicts nothing: its target is -100.

    Parameters
    ----------
    ids : ndarray, Tensor or sequence of int
        The stream of token ids ``(tokens,)``, any integer type; not copied, so that a
        memory-mapped file is read window by window.
    batch_size : int
        Lanes; fewer when the stream is too short to fill them.
    bptt : int
        Both `k1` and `k2`, where they are not given.
    k1 : int, optional
        Tokens from one window to the next.
    k2 : int, optional
        Tokens that gradients flow back through.
    document_start : int, optional
        The id of the token that stands before every document.
    document_starts : ndarray or sequence of int, optional
        Positions of the first token of every document, in ascending order, from 0 on.
    seed : int
        Picks the offsets. That of a pass follows from the seed and the number of the pass alone.
    shuffle_offset : bool
        Whether passes start at different offsets; all start at 0 if not.

    Attributes
    ----------
    bptt, k1, k2 : int
        As above.
    lanes : int
        Lanes that there are.
    steps : int
        Windows of a lane.

    Raises
    ------
    ValueError
        If the stream is too short for one window and its next token, a length is not positive, or
        the documents are given twice, out of order, or outside the stream.
    TypeError
        If ids or positions are not whole numbers.

    Examples
    --------
    >>> inputs, targets = next(iter(StreamLoader(np.arange(9), batch_size=2, bptt=4)))
    >>> inputs.tolist(), targets.tolist()
    ([[0, 1, 2, 3], [4, 5, 6, 7]], [[1, 2, 3, 4], [5, 6, 7, 8]])
    """

    def __init__(
        self,
        ids: Any,
        batch_size: int,
        bptt: int,
        *,
        k1: int | None = None,
        k2: int | None = None,
        document_start: int | None = None,
        document_starts: Any = None,
        seed: int = 0,
        shuffle_offset: bool = True,
    ) -> None:
        self.ids = token_ids(ids)
        self.batch_size = positive_int("batch_size", batch_size)
        self.bptt = positive_int("bptt", bptt)
        self.k1 = self.bptt if k1 is None else positive_int("k1", k1)
        self.k2 = self.bptt if k2 is None else positive_int("k2", k2)
        self._length = max(self.k1, self.k2)  # of a window
        if document_start is not None and document_starts is not None:
            raise ValueError(
                "document_start excludes document_starts: give the token that stands before every "
                "document, or the positions where documents start"
            )
        self.document_start = None if document_start is None else operator.index(document_start)
        self.document_starts = (
            None if document_starts is None else _checked_starts(document_starts, len(self.ids))
        )
        self.seed = operator.index(seed)
        self.shuffle_offset = shuffle_offset
        self.lanes = min(self.batch_size, (len(self.ids) - 1) // self._length)
        if self.lanes < 1:
            raise ValueError(
                f"the training text has {len(self.ids)} tokens, but a window takes "
                f"{self._length + 1} (sequence length {self._length} and the next token); give "
                "more text or a shorter sequence length"
            )
        self.steps = ((len(self.ids) - 1) // self.lanes - self._length) // self.k1 + 1
        self._pass = 0  # the one of the last window, or else the next
        self._windows = 0  # handed out of it
        self._resumed = False

    def __len__(self) -> int:
        """Return the number of windows of a pass."""
        return self.steps

    def __iter__(self) -> Iterator[Window]:
        """Make one pass, or the rest of the one that `load_state_dict` told of."""
        if self._windows and not self._resumed:
            self.end_pass()
        self._resumed = False
        number = self._pass
        first = self._offset(number)
        for step in range(self._windows, self.steps):
            window = self._window(first, step)
            self._pass, self._windows = number, step + 1
            yield window
        if self._pass == number:
            self.end_pass()

    # --- where it stands --------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader stands: the pass, and how many of its windows were handed out.

        Returns
        -------
        dict
            Numbers only. With them the settings that say which windows there are.
        """
        return {
            "pass": self._pass,
            "windows": self._windows,
            "seed": self.seed,
            **self._settings(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called: the next pass is the rest of the one it stood in.

        A pass whose last window was handed out, but which was not left yet, has a rest of none.
        The seed becomes that of the state.

        Raises
        ------
        ValueError
            If the state is of another stream, such as one of another length.
        """
        same_settings("StreamLoader", state_dict, self._settings(), ("pass", "windows", "seed"))
        number, windows = int(state_dict["pass"]), int(state_dict["windows"])
        if number < 0 or not 0 <= windows <= self.steps:
            raise ValueError(
                f"this state was not saved by a StreamLoader: pass {number}, window {windows}, "
                f"where a pass has between 0 and {self.steps}"
            )
        self._pass, self._windows, self._resumed = number, windows, True
        self.seed = int(state_dict["seed"])

    def end_pass(self) -> None:
        """Leave the pass before its end, so that `state_dict` stands at the start of the next."""
        self._pass, self._windows = self._pass + 1, 0

    def _settings(self) -> dict[str, Any]:
        return {
            "tokens": len(self.ids),
            "lanes": self.lanes,
            "k1": self.k1,
            "k2": self.k2,
            "shuffle_offset": self.shuffle_offset,
            "document_start": self.document_start,
            "documents": None if self.document_starts is None else len(self.document_starts),
        }

    # --- windows ----------------------------------------------------------------------------------

    @property
    def _lane(self) -> int:
        """Tokens of a lane."""
        return (self.steps - 1) * self.k1 + self._length

    def _offset(self, number: int) -> int:
        """Return where the first lane of a pass starts."""
        if not self.shuffle_offset:
            return 0
        slack = len(self.ids) - 1 - self.lanes * self._lane
        philox = np.random.Philox(key=np.array([self.seed % 2**64, number], np.uint64))
        return int(np.random.Generator(philox).integers(slack + 1))

    def _window(self, first: int, step: int) -> Window:
        begin = step * self.k1
        inputs = self._read(first, begin)
        targets = self._read(first + 1, begin)
        if step > 0:
            targets[:, : self._length - self.k1] = IGNORED
        starts = self._starts(first + begin, inputs, targets)
        return Window(
            inputs,
            targets,
            starts=starts if starts is not None and starts.any() else None,
            cuts=tuple(range(self.k2, self._length, self.k2)),
            carry=self.k1,
        )

    def _read(self, first: int, begin: int) -> np.ndarray:
        """Return a window of every lane, the first of which starts at `first`."""
        lanes = self.ids[first : first + self.lanes * self._lane].reshape(self.lanes, self._lane)
        return np.array(lanes[:, begin : begin + self._length], np.int64)

    def _starts(self, begin: int, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
        """Tell which inputs start a document; ignore the targets that nothing announces."""
        if self.document_start is not None:
            return np.asarray(inputs == self.document_start)
        if self.document_starts is None:
            return None
        lanes = begin + self._lane * np.arange(self.lanes)
        positions = lanes[:, None] + np.arange(self._length + 1)
        after = np.searchsorted(self.document_starts, positions, side="right")
        starts = self.document_starts[after - 1] == positions
        targets[starts[:, 1:]] = IGNORED
        return np.asarray(starts[:, :-1])


def _checked_starts(positions: Any, tokens: int) -> np.ndarray:
    """Return the positions where documents start, as an array."""
    starts = np.asarray(positions)
    if starts.ndim != 1 or (starts.size and starts.dtype.kind not in "iu"):
        raise TypeError(
            "document_starts are positions (documents,), whole numbers; got "
            f"{starts.dtype} of shape {starts.shape}"
        )
    if not starts.size or starts[0] != 0:
        found = f"starts with {starts[0]}" if starts.size else "is empty"
        raise ValueError(
            f"document_starts must start with 0, the text's first token, but {found}. Are these "
            "the ends of documents, or their lengths? Starts are then [0, *ends[:-1]] with "
            "ends = np.cumsum(lengths)"
        )
    wrong = np.flatnonzero(starts[1:] <= starts[:-1])
    if wrong.size:
        i = int(wrong[0]) + 1
        raise ValueError(
            f"document_starts must ascend, but document_starts[{i}] is {starts[i]} after "
            f"{starts[i - 1]}: sort them, and leave out documents of no tokens"
        )
    if starts[-1] >= tokens:
        raise ValueError(
            f"document_starts[{len(starts) - 1}] is {starts[-1]}, outside the text of {tokens} "
            "tokens: leave out the end of the last document, and start each that has tokens"
        )
    return starts
