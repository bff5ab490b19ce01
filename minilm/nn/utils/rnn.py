"""Sequences of unequal length in one tensor: PyTorch's ``torch.nn.utils.rnn``."""

from __future__ import annotations

from collections.abc import Sequence

from minilm.creation import full
from minilm.operations import cat, stack
from minilm.tensor import Tensor


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Fill sequences up to the longest, and stack them.

    Parameters
    ----------
    sequences : sequence of Tensor
        Each ``(time, ...)``, alike in all axes but the first.
    batch_first : bool
        Whether the result is ``(batch, time, ...)`` rather than ``(time, batch, ...)``.
    padding_value : float
        What fills up.
    padding_side : {"right", "left"}
        Where.

    Returns
    -------
    Tensor
        Gradients flow back to the sequences.

    Raises
    ------
    ValueError
        If there is no sequence, or they differ in another axis.

    Examples
    --------
    >>> pad_sequence([minilm.tensor([1, 2, 3]), minilm.tensor([4])], batch_first=True)
    tensor([[1, 2, 3],
            [4, 0, 0]])
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"padding_side must be 'right' or 'left'; got {padding_side!r}")
    if not len(sequences):
        raise ValueError("pad_sequence: expected at least one sequence")
    tails = {tuple(sequence.shape[1:]) for sequence in sequences}
    if len(tails) > 1:
        raise ValueError(
            "pad_sequence: sequences may differ in their first axis only, got shapes "
            f"{', '.join(str(sequence.shape) for sequence in sequences)}"
        )
    longest = max(len(sequence) for sequence in sequences)
    rows = []
    for sequence in sequences:
        missing = (longest - len(sequence), *sequence.shape[1:])
        filled = [sequence, full(missing, padding_value, dtype=sequence.dtype)]
        rows.append(cat(filled if padding_side == "right" else filled[::-1]))
    return stack(rows, 0 if batch_first else 1)
