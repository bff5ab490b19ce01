"""What an evaluation found, and on what terms."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


def perplexity(loss: float) -> float:
    """Return exp(loss), infinite where that overflows."""
    return math.exp(loss) if loss < 709 else math.inf


def gap(loss: float, reference: float) -> str:
    """Say how far a loss is from another: ``0.5417 below``, in nats a token."""
    return f"{abs(loss - reference):.4f} {'below' if loss < reference else 'above'}"


@dataclass(frozen=True)
class CalibrationBin:
    """The predictions whose probability lies in ``(low, high]``.

    Attributes
    ----------
    low, high : float
        Edges of the bin.
    count : int
        Predictions in it.
    confidence : float
        Mean probability that the model gave its favourite; NaN in an empty bin.
    accuracy : float
        Share of favourites that were right; NaN in an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class TokenCost:
    """What all occurrences of a token type cost together.

    Attributes
    ----------
    token : int
        Its id.
    text : str or None
        The token itself, where a tokenizer was given.
    count : int
        How often it was a target.
    nats : float
        Its losses added up.
    """

    token: int
    text: str | None
    count: int
    nats: float

    @property
    def mean(self) -> float:
        """Nats an occurrence."""
        return self.nats / self.count


@dataclass(frozen=True)
class Surprise:
    """A single token that cost much.

    Attributes
    ----------
    nats : float
        Its loss.
    token : int
        Its id.
    text : str or None
        The token itself, where a tokenizer was given.
    row : int or None
        Number of its row, in the order in which they were read; None in a stream.
    position : int
        Its place in the stream, or in its row without padding; from 0.
    context : tuple of int
        The ids before it, at most eight.
    context_text : str or None
        The same as text.
    guess : int
        What the model held most likely.
    guess_text : str or None
        The same as text.
    confidence : float
        The probability that the model gave its guess.
    """

    nats: float
    token: int
    text: str | None
    row: int | None
    position: int
    context: tuple[int, ...]
    context_text: str | None
    guess: int
    guess_text: str | None
    confidence: float


@dataclass(frozen=True)
class Detail:
    """What takes a look at every score to know: ``evaluate(..., detail=True)``.

    Attributes
    ----------
    accuracy : float
        Share of tokens that the model held most likely.
    top5_accuracy : float
        Share of tokens among the model's five most likely.
    calibration : tuple of CalibrationBin
        Bins of equal width over 0 to 1.
    costliest : tuple of TokenCost
        The types that cost most in all, the costliest first.
    worst : tuple of Surprise
        The single tokens that cost most, the costliest first.
    """

    accuracy: float
    top5_accuracy: float
    calibration: tuple[CalibrationBin, ...]
    costliest: tuple[TokenCost, ...]
    worst: tuple[Surprise, ...]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error [1]_.

        The distance between accuracy and confidence, averaged over the bins by what they hold.

        References
        ----------
        .. [1] Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3
        """
        filled = [one for one in self.calibration if one.count]
        total = sum(one.count for one in filled)
        return sum(one.count * abs(one.accuracy - one.confidence) for one in filled) / total


@dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a text; ``str()`` of it says on what terms.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, nats a token.
    tokens : int
        Tokens predicted.
    terms : tuple of str
        Which tokens counted, and what the model saw before them.
    chars_per_token, bytes_per_token : float or None
        Length of the text in characters (code points), and in bytes of UTF-8, over its number of
        tokens; None where the text was not given.
    detail : Detail or None
        What was asked for with ``detail=True``; its figures can be read here, too.
    """

    loss: float
    tokens: int
    terms: tuple[str, ...] = ()
    chars_per_token: float | None = None
    bytes_per_token: float | None = None
    detail: Detail | None = None

    @property
    def perplexity(self) -> float:
        """Return exp(loss), infinite where that overflows."""
        return perplexity(self.loss)

    def bits_per_char(self, chars_per_token: float | None = None) -> float:
        """Return the loss in bits a character.

        Parameters
        ----------
        chars_per_token : float, optional
            Length of the text over its number of tokens; it is known where a text was evaluated.

        Raises
        ------
        ValueError
            If it is neither given nor known.
        """
        known = self.chars_per_token if chars_per_token is None else chars_per_token
        return self._bits_per("characters", known)

    def bits_per_byte(self, bytes_per_token: float | None = None) -> float:
        """Return the loss in bits a byte of UTF-8.

        Parameters
        ----------
        bytes_per_token : float, optional
            Bytes of the text over its number of tokens; it is known where a text was evaluated.

        Raises
        ------
        ValueError
            If it is neither given nor known.
        """
        known = self.bytes_per_token if bytes_per_token is None else bytes_per_token
        return self._bits_per("bytes", known)

    def _bits_per(self, unit: str, per_token: float | None) -> float:
        if per_token is None:
            raise ValueError(
                f"how many {unit} a token has is not known, as ids were evaluated: give "
                f"{unit} over tokens of their text, or evaluate(model, text, tokenizer=...)"
            )
        return self.loss / math.log(2) / per_token

    @property
    def accuracy(self) -> float:
        """Share of tokens that the model held most likely."""
        return self._details("accuracy").accuracy

    @property
    def top5_accuracy(self) -> float:
        """Share of tokens among the model's five most likely."""
        return self._details("top5_accuracy").top5_accuracy

    @property
    def calibration_error(self) -> float:
        """Expected calibration error; see :class:`Detail`."""
        return self._details("calibration_error").calibration_error

    @property
    def calibration(self) -> tuple[CalibrationBin, ...]:
        """Bins of a reliability diagram."""
        return self._details("calibration").calibration

    @property
    def costliest(self) -> tuple[TokenCost, ...]:
        """The types that cost most in all."""
        return self._details("costliest").costliest

    @property
    def worst(self) -> tuple[Surprise, ...]:
        """The single tokens that cost most."""
        return self._details("worst").worst

    def _details(self, name: str) -> Detail:
        if self.detail is None:
            raise AttributeError(
                f"{name} was not measured, as it takes a look at every score: "
                "evaluate(..., detail=True) does"
            )
        return self.detail

    def to_dict(self) -> dict[str, Any]:
        """Return all figures under their names, as JSON can hold them."""
        values: dict[str, Any] = {
            "loss": self.loss,
            "perplexity": self.perplexity,
            "tokens": self.tokens,
        }
        if self.chars_per_token is not None:
            values["bits_per_char"] = self.bits_per_char()
        if self.bytes_per_token is not None:
            values["bits_per_byte"] = self.bits_per_byte()
        values["terms"] = list(self.terms)
        if self.detail is not None:
            values |= asdict(self.detail)
            values["costliest"] = [asdict(one) | {"mean": one.mean} for one in self.costliest]
            values["calibration_error"] = self.calibration_error
        return values

    def __str__(self) -> str:
        """Return perplexity, tokens and terms in one sentence."""
        start = f"perplexity {self.perplexity:.4g} over {self.tokens:,} tokens"
        return ", ".join([start, *self.terms])

    def _repr_html_(self) -> str:
        from minilm.evaluation.html import evaluation_html

        return evaluation_html(self)
