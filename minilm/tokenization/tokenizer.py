"""The tokenizer as ``transformers`` has it, over one of the `tokenizers` library."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.data.guard import guarded
from minilm.models.tokenizer_files import MORE, NAMES
from minilm.tokenization.batch_encoding import BatchEncoding
from minilm.tokenization.chat import ChatTemplate
from minilm.tokenization.decoding import IdsToText
from minilm.tokenization.lengths import (
    VERY_LARGE,
    Lengths,
    pad_samples,
    read_lengths,
    target_length,
)
from minilm.tokenization.texts import read_texts

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

SIDES = ("left", "right")
MODEL_INPUTS = ("input_ids", "attention_mask")


class PreTrainedTokenizerFast(IdsToText, ChatTemplate):
    """Text to ids and back, with names and meaning of ``transformers.PreTrainedTokenizerFast``.

    Parameters
    ----------
    tokenizer_object : tokenizers.Tokenizer, optional
        Does the work, such as `minilm.data.train_bpe_tokenizer` returns. It is copied.
    tokenizer_file : str or Path, optional
        Instead: its ``tokenizer.json``.
    model_max_length : int, optional
        How many tokens the model takes at most; for truncation.
    padding_side, truncation_side : {"right", "left"}
        Where texts are filled up and cut. To write on, a model wants them filled up on the left.
    model_input_names : sequence of str
        Which columns a call returns.
    chat_template : str, optional
        How a conversation becomes one text, in Jinja's language.
    clean_up_tokenization_spaces : bool
        Whether decoding drops spaces before punctuation; never for byte pair encoding, whose
        tokens hold their spaces.
    **settings
        Special tokens by name: ``eos_token="<|endoftext|>"``. Anything else is kept, and saved
        with the tokenizer.

    Attributes
    ----------
    backend_tokenizer : tokenizers.Tokenizer
        What does the work.

    Raises
    ------
    ValueError
        If there is neither a tokenizer nor a file, or both, or a side is unknown.
    FolderError
        If the file is missing or damaged.

    Examples
    --------
    >>> tokenizer = AutoTokenizer.from_pretrained("gpt2")
    >>> tokenizer(["Hello world", "Hello"], padding=True, return_tensors="pt").attention_mask
    tensor([[1, 1],
            [1, 0]])
    """

    def __init__(
        self,
        *,
        tokenizer_object: Tokenizer | None = None,
        tokenizer_file: str | Path | None = None,
        model_max_length: int | None = None,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_input_names: Sequence[str] = MODEL_INPUTS,
        chat_template: str | Mapping[str, str] | None = None,
        clean_up_tokenization_spaces: bool = False,
        name_or_path: str = "",
        **settings: Any,
    ) -> None:
        self.backend_tokenizer = _backend(tokenizer_object, tokenizer_file)
        self.model_max_length = VERY_LARGE if model_max_length is None else int(model_max_length)
        self.padding_side = _side("padding_side", padding_side)
        self.truncation_side = _side("truncation_side", truncation_side)
        self.model_input_names = list(model_input_names)
        self.chat_template = chat_template
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        self.name_or_path = name_or_path
        self.init_kwargs = {k: v for k, v in settings.items() if k not in (*NAMES, *MORE)}
        super().__init__({k: v for k, v in settings.items() if k in (*NAMES, *MORE)})

    @property
    def is_fast(self) -> bool:
        """Whether it is one of the `tokenizers` library, as all are."""
        return True

    # --- text to ids ------------------------------------------------------------------------------

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
    ) -> BatchEncoding:
        """Encode a text, or a batch of texts.

        Parameters
        ----------
        text, text_pair : str or sequence of str
            What to encode; a text and another one that goes with it make one sample.
        add_special_tokens : bool
            Whether to put special tokens around each, where the tokenizer has a rule for it.
        padding : bool or {"longest", "max_length", "do_not_pad"}
            True: fill up to the longest text of the batch.
        truncation : bool or {"longest_first", "only_first", "only_second"}
            True: cut what is longer than `max_length`, of a pair the longer text first.
        max_length : int, optional
            Tokens; by default what the model takes.
        stride : int
            Tokens that a piece repeats of the one before, with `return_overflowing_tokens`.
        is_split_into_words : bool
            Whether each text comes as a list of words.
        pad_to_multiple_of : int, optional
            Fill up to the next multiple.
        padding_side : {"left", "right"}, optional
            Instead of the tokenizer's.
        return_tensors : {None, "np", "pt"}
            Lists, NumPy arrays, or tensors of minilm, ``(batch, time)``.
        return_token_type_ids, return_attention_mask : bool, optional
            Whether to return them; by default as the model takes them.
        return_overflowing_tokens : bool
            Whether what was cut off follows as further samples; ``overflow_to_sample_mapping``
            says of which text.
        return_special_tokens_mask, return_offsets_mapping, return_length : bool
            Further columns: where special tokens are, which characters a token covers, how many
            tokens there are.

        Returns
        -------
        BatchEncoding
            ``input_ids``, ``attention_mask`` (1: text, 0: filled up) and what was asked for.

        Raises
        ------
        TypeError
            If something is no text.
        ValueError
            If `padding` finds no token to fill up with, texts of several lengths are to be one
            tensor, or an option is unknown.
        """
        wanted = read_lengths(padding, truncation, max_length, self.model_max_length)
        texts, batched = read_texts(text, text_pair, is_split_into_words)
        encodings = self._encode(texts, add_special_tokens, is_split_into_words, wanted, stride)
        samples = list(range(len(encodings)))
        if return_overflowing_tokens:
            samples = [i for i, e in enumerate(encodings) for _ in (e, *e.overflowing)]
            encodings = [piece for e in encodings for piece in (e, *e.overflowing)]
        self._pad_encodings(encodings, wanted, pad_to_multiple_of, padding_side)
        columns: dict[str, Any] = {"input_ids": [e.ids for e in encodings]}
        if self._returns("token_type_ids", return_token_type_ids):
            columns["token_type_ids"] = [e.type_ids for e in encodings]
        if self._returns("attention_mask", return_attention_mask):
            columns["attention_mask"] = [e.attention_mask for e in encodings]
        if return_special_tokens_mask:
            columns["special_tokens_mask"] = [e.special_tokens_mask for e in encodings]
        if return_offsets_mapping:
            columns["offset_mapping"] = [e.offsets for e in encodings]
        if return_length:
            columns["length"] = [len(e.ids) for e in encodings]
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = samples
        elif not batched and return_tensors is None:
            columns = {k: v[0] if isinstance(v[0], list) else v for k, v in columns.items()}
        return BatchEncoding(columns, encodings, return_tensors)

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """Return the ids of a text; options are those of a call.

        Returns
        -------
        list of int
            Or a tensor ``(1, time)``, with ``return_tensors``.
        """
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False
    ) -> list[str]:
        """Return the tokens of a text, as the vocabulary spells them."""
        return self(text, pair, add_special_tokens=add_special_tokens).tokens()

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Fill up samples that are numbers already to one length, as a data collator does.

        Parameters
        ----------
        encoded_inputs : sequence of mapping, or mapping of lists
            What calls returned.

        Other parameters are those of a call.

        Raises
        ------
        ValueError
            If ``input_ids`` are missing, or there is no token to fill up with.
        """
        wanted = read_lengths(padding, False, max_length, self.model_max_length)
        side = _side("padding_side", padding_side or self.padding_side)
        fillings = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}
        if wanted.padding is not None:
            fillings["input_ids"] = self.require_pad()[0]
        return pad_samples(
            encoded_inputs,
            lambda counts: target_length(counts, wanted, pad_to_multiple_of),
            fillings,
            left=side == "left",
            return_attention_mask=self._returns("attention_mask", return_attention_mask),
            return_tensors=return_tensors,
        )

    def _returns(self, column: str, asked: bool | None) -> bool:
        return column in self.model_input_names if asked is None else asked

    def _encode(
        self, texts: list[Any], special: bool, split: bool, wanted: Lengths, stride: int
    ) -> list[Encoding]:
        backend = self.backend_tokenizer
        with guarded(ValueError, "cannot encode"):
            if wanted.truncation is not None and wanted.max_length is not None:
                backend.enable_truncation(
                    wanted.max_length,
                    stride=stride,
                    strategy=wanted.truncation,
                    direction=self.truncation_side,
                )
            try:
                return list(
                    backend.encode_batch(texts, is_pretokenized=split, add_special_tokens=special)
                )
            finally:
                backend.no_truncation()

    def _pad_encodings(
        self,
        encodings: Sequence[Encoding],
        wanted: Lengths,
        pad_to_multiple_of: int | None,
        padding_side: str | None,
    ) -> None:
        length = target_length([len(e.ids) for e in encodings], wanted, pad_to_multiple_of)
        if length is None:
            return
        index, token = self.require_pad()
        side = _side("padding_side", padding_side or self.padding_side)
        for encoding in encodings:
            encoding.pad(length, direction=side, pad_id=index, pad_token=token)

    # --- folders ----------------------------------------------------------------------------------

    def save_pretrained(self, save_directory: str | Path) -> tuple[str, ...]:
        """Save the tokenizer into a folder, which `transformers` loads too.

        Returns
        -------
        tuple of str
            The files.

        Raises
        ------
        OSError
            If a file cannot be written; then none is.
        """
        from minilm.tokenization.saving import save_tokenizer

        return save_tokenizer(self, save_directory)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> PreTrainedTokenizerFast:
        """Read from a folder or the hub; see `AutoTokenizer.from_pretrained`."""
        from minilm.tokenization.auto import AutoTokenizer

        return AutoTokenizer.from_pretrained(name_or_path, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Share on the hub, beside what the repository holds.

        Arguments, result and errors are those of :func:`minilm.models.hub.push_to_hub`.
        """
        from minilm.models.hub import share

        named = {"commit_message": "Upload tokenizer", **options}
        return share(self.save_pretrained, repo_id, **named)

    def pretrained_files(self) -> dict[str, bytes]:
        """Return the files of a folder, by name; see `save_pretrained`."""
        from minilm.tokenization.saving import tokenizer_files

        return tokenizer_files(self)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size="
            f"{self.vocab_size}, model_max_length={self.model_max_length}, padding_side="
            f"{self.padding_side!r}, special_tokens={self.special_tokens_map})"
        )


def _backend(tokenizer: Tokenizer | None, file: str | Path | None) -> Tokenizer:
    if (tokenizer is None) == (file is None):
        raise ValueError(
            "a tokenizer is made of tokenizer_object or of tokenizer_file, one of them"
        )
    if tokenizer is None:
        from minilm.models.tokenizer_files import read_tokenizer_json

        return read_tokenizer_json(Path(str(file)))
    backend = copy.deepcopy(getattr(tokenizer, "backend_tokenizer", tokenizer))
    backend.no_padding()
    backend.no_truncation()
    return backend


def _side(name: str, side: str) -> str:
    if side not in SIDES:
        raise ValueError(f"{name} is 'left' or 'right'; got {side!r}")
    return side
