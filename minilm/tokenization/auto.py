"""The tokenizer of any folder, or of any model of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minilm.models.errors import FolderError
from minilm.models.hub import resolve, split_options
from minilm.models.tokenizer_files import FILES, read_folder
from minilm.tokenization.tokenizer import PreTrainedTokenizerFast


class AutoTokenizer:
    """The tokenizer of a model, whatever kind it is.

    Examples
    --------
    >>> tokenizer = AutoTokenizer.from_pretrained("gpt2")
    """

    def __init__(self) -> None:
        raise TypeError("AutoTokenizer is not made itself: call AutoTokenizer.from_pretrained(...)")

    @staticmethod
    def from_pretrained(
        pretrained_model_name_or_path: str | Path, *, use_fast: bool = True, **options: Any
    ) -> PreTrainedTokenizerFast:
        """Read a tokenizer from a folder, or from the hub.

        Parameters
        ----------
        pretrained_model_name_or_path : str or Path
            A folder with ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``, or
            ``vocab.txt``; or a name of the hub, such as ``"gpt2"``.
        use_fast : bool
            Accepted; all tokenizers are of the fast kind.
        **options
            ``revision``, ``token``, ``cache_dir``, ``local_files_only`` for the hub; all else goes
            to `PreTrainedTokenizerFast` in place of what the files say: ``padding_side="left"``.

        Raises
        ------
        FolderError
            If a file is missing or damaged; the message names it.
        HubError
            If a hub name cannot be had; the message says what to do.
        """
        hub, overrides = split_options(options)
        folder = resolve(pretrained_model_name_or_path, patterns=FILES, **hub)
        tokenizer, settings = read_folder(folder)
        try:
            return PreTrainedTokenizerFast(
                tokenizer_object=tokenizer,
                name_or_path=str(pretrained_model_name_or_path),
                **{**settings, **overrides},
            )
        except (ValueError, TypeError, OverflowError) as error:
            if overrides:
                raise
            raise FolderError(f"{folder}: the tokenizer's files do not fit: {error}") from None
