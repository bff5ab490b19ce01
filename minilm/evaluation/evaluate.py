"""How well a model predicts a text, every token counted once and the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minilm.data.checks import positive_int
from minilm.data.stream import IGNORED, StreamLoader
from minilm.evaluation.batches import batches, integers, is_stream, whole_text
from minilm.evaluation.names import Names
from minilm.evaluation.readers import Reader, reader_of
from minilm.evaluation.result import Evaluation
from minilm.evaluation.tally import DetailedTally, Tally
from minilm.evaluation.windows import Rows, Source, Stream, Window

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minilm.data.vocab import Vocab

ROW_WINDOW = 256  # tokens of a row that a model with state reads in one go


def evaluate(
    model: Any,
    data: Any,
    *,
    tokenizer: Tokenizer | Vocab | None = None,
    batch_size: int = 32,
    seq_len: int | None = None,
    stride: int | None = None,
    lanes: int = 32,
    detail: bool = False,
    on_window: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Return a model's loss over a text, and on request what it is made of.

    **A stream** (a text, or its ids) is read along lanes, side by side. Each lane but the first
    starts `seq_len` tokens early, and what the model says to those does not count: so every token
    but the stream's first is counted once, with at least `seq_len` tokens before it, or all there
    are. A model that carries a state reads `lanes` long lanes, window by window; for any other, a
    lane is one window of ``seq_len + stride`` tokens, of which the last `stride` count.

    **Rows** (a loader, a dataset) are read each on its own. Batches or samples are

    - pairs ``(inputs, targets)``, the target at each position being the token after it;
    - mappings with ``input_ids`` and, where there are, ``labels`` and ``attention_mask``, in
      Hugging Face's way: labels stand where their tokens stand, and are shifted here;
    - rows of ids, each a text of its own.

    Of a StreamLoader the whole text is read, as a stream, or where it knows of documents, each of
    these as a row: its windows are made for training, and leave tokens out.

    Targets of -100 and padding do not count, and padding on either side changes nothing.

    Memory does not grow with the text, and no logits are kept. All tokens weigh the same, so
    `batch_size` changes nothing but speed.

    Parameters
    ----------
    model : nn.Module or NGramModel
        Maps ids ``(batch, time)`` to logits ``(batch, time, vocab)``, or to an output with
        ``.logits``. Its mode is left as it was.
    data : str, ndarray of int, DataLoader, Dataset or StreamLoader
        What to predict.
    tokenizer : tokenizers.Tokenizer or Vocab, optional
        Encodes a text (a Vocab cannot), gives tokens their names, and tells what the terms say of
        ends of lines and unknown tokens.
    batch_size : int
        Lanes, or samples of a dataset, side by side.
    seq_len : int, optional
        Tokens of context that a lane starts with: by default 128, or half of what the model can
        read at once (``n_positions`` or ``max_position_embeddings`` of its ``config``). Less where
        the model cannot read so many.
    stride : int, optional
        Tokens that count in a window: by default `seq_len`. A model with a state is read in windows
        without it, too, where this is given.
    lanes : int
        Lanes of a model with a state, at most. Each starts without one: where the model remembers
        more than `seq_len` tokens, only 1 is exact.
    detail : bool
        Look at every score: accuracy, calibration, the tokens that cost most. Takes longer.
    on_window : callable
        Called after each window; what it raises ends the evaluation.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If there is nothing to predict: fewer than two tokens, no batch, or no target that counts.
        If a size is not positive, or more than the model can read. If shapes do not fit.
    TypeError
        If `model` or `data` is nothing of the kind.
    IndexError
        If an id is outside the model's vocabulary; the message says where it stands.

    Examples
    --------
    >>> reached = evaluate(model, ids, seq_len=512)
    >>> print(reached)
    perplexity 4.41 over 111,540 tokens, all but the first, stride 512 after 512 tokens of context
    or more
    """
    sizes = {"batch_size": batch_size, "seq_len": seq_len, "stride": stride, "lanes": lanes}
    for name, size in sizes.items():
        if size is not None:
            positive_int(name, size)
    reader, names = reader_of(model), Names(tokenizer)
    lengths: dict[str, float] = {}
    if isinstance(data, str):
        text, data = data, names.encode(data)
        lengths = {
            "chars_per_token": len(text) / max(len(data), 1),
            "bytes_per_token": len(text.encode("utf-8")) / max(len(data), 1),
        }
    if isinstance(data, StreamLoader):
        data = whole_text(data)
    source: Source
    if is_stream(data):
        ids = _checked_stream(data)
        source = Stream(ids, reader.plan(len(ids) - 1, seq_len, stride, lanes), batch_size)
    else:
        source = Rows(batches(data, batch_size), ROW_WINDOW if reader.carries_state else None)
    tally = DetailedTally() if detail else Tally()
    positions = 0
    with reader.reading():
        for scores, window in _read(reader, source):
            tally.add(scores, window)
            positions += window.targets.size
            on_window()
    if not tally.tokens:
        raise ValueError(_nothing(positions))
    counted, *seen = source.terms
    return Evaluation(
        loss=tally.nats / tally.tokens,
        tokens=tally.tokens,
        terms=(counted, *names.terms(tally.counts), *seen),
        detail=tally.detail(names) if isinstance(tally, DetailedTally) else None,
        **lengths,
    )


def _read(reader: Reader, source: Source) -> Iterator[tuple[Any, Window]]:
    """Yield windows and what the model says to them, the state carried along each run."""
    for run in source.runs():
        state = None
        for window in run:
            if window.inputs.size:
                _check_window(reader, window)
                scores, state = reader.read(window, state)
                yield scores, window


def _checked_stream(data: Any) -> np.ndarray:
    ids = integers("data", data)
    if ids.ndim != 1:
        raise ValueError(
            f"a stream of ids has one axis (tokens,); got the shape {ids.shape}. Rows of ids come "
            "as a Dataset, such as a list of them"
        )
    if len(ids) < 2:
        raise ValueError(f"nothing to predict: the text has {len(ids)} tokens, at least 2 needed")
    if ids[-1] < 0:  # as a target, -100 would be passed over; elsewhere it is an input, too
        raise IndexError(f"token {ids[-1]} at position {len(ids) - 1:,} is negative")
    return ids


def _check_window(reader: Reader, window: Window) -> None:
    """Refuse ids that the model does not have, and rows longer than it can read."""
    vocab = reader.vocab_size
    if vocab is not None:
        _check_ids(window, window.inputs, window.inputs, -1, vocab)
        counted = np.where(window.targets == IGNORED, 0, window.targets)
        _check_ids(window, counted, window.targets, 0, vocab)
    if reader.longest is not None and window.inputs.shape[1] > reader.longest:
        raise ValueError(
            f"rows of {window.inputs.shape[1]} tokens: the model reads at most {reader.longest} at "
            "once. Cut the rows, or pass all ids as one stream, which is read in windows"
        )


def _check_ids(
    window: Window, values: np.ndarray, shown: np.ndarray, shift: int, vocab: int
) -> None:
    wrong = np.argwhere((values < 0) | (values >= vocab))
    if len(wrong):
        row, column = wrong[0].tolist()
        number, position = window.place(row, column + shift)
        where = f"position {position:,}" + ("" if number is None else f" of row {number:,}")
        raise IndexError(
            f"token {shown[row, column]} at {where} is outside the model's vocabulary, 0 to "
            f"{vocab - 1}. Was the text encoded with another tokenizer than the model's?"
        )


def _nothing(positions: int) -> str:
    """Say why there was nothing to predict."""
    if not positions:
        return (
            "nothing to predict: the data holds no batch with at least one target. Is the "
            "validation set empty, or does each of its texts have a single token?"
        )
    return (
        f"nothing to predict: of {positions:,} targets all are ignored, as -100 or as padding. "
        "Were all labels masked, or is the attention mask 0 everywhere?"
    )
