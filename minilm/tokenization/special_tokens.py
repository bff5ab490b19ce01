"""The tokens that have a meaning of their own: where a text begins and ends, what fills up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from minilm.models.tokenizer_files import MORE, NAMES, as_special, text_of
from minilm.warn import warn_caller

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

# What special tokens are mostly called, for a tokenizer that does not say it.
USUAL = {
    "bos_token": ("<s>", "<|endoftext|>"),
    "eos_token": ("</s>", "<|endoftext|>"),
    "unk_token": ("<unk>", "[UNK]", "<|endoftext|>"),
    "sep_token": ("[SEP]",),
    "pad_token": ("<pad>", "[PAD]"),
    "cls_token": ("[CLS]",),
    "mask_token": ("<mask>", "[MASK]"),
}


class SpecialToken:
    """An attribute ``pad_token``: the token's text, None if there is none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tokenizer: SpecialTokens | None, owner: type) -> Any:
        return self if tokenizer is None else tokenizer.named.get(self._name)

    def __set__(self, tokenizer: SpecialTokens, token: Any) -> None:
        if token is None:
            tokenizer.named.pop(self._name, None)
            return
        text = str(getattr(token, "content", token))
        if tokenizer.backend_tokenizer.token_to_id(text) is None:
            raise ValueError(
                f"{self._name}: {text!r} is not in the vocabulary. To add it, call "
                f"add_special_tokens({{{self._name!r}: {text!r}}}); a model needs a row of its "
                "embedding for each new token"
            )
        tokenizer.named[self._name] = text
        if self._name == "pad_token":
            tokenizer.pad_is_preset = False


class SpecialTokenId:
    """An attribute ``pad_token_id``: the id of the token ``pad_token``, None if there is none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._token = name.removesuffix("_id")

    def __get__(self, tokenizer: SpecialTokens | None, owner: type) -> Any:
        if tokenizer is None:
            return self
        token = getattr(tokenizer, self._token)
        return None if token is None else tokenizer.backend_tokenizer.token_to_id(token)

    def __set__(self, tokenizer: SpecialTokens, index: int | None) -> None:
        token = None if index is None else tokenizer.backend_tokenizer.id_to_token(index)
        if index is not None and token is None:
            raise ValueError(f"{self._token}_id: {index} is not the id of any token")
        setattr(tokenizer, self._token, token)


class SpecialTokens:
    """Names and ids of special tokens; the base of a tokenizer.

    A tokenizer that has an ``eos_token`` but no ``pad_token``, as GPT-2's, fills up with the
    former: the attention mask tells them apart. It is said once, when it first matters.
    """

    bos_token = SpecialToken()
    eos_token = SpecialToken()
    unk_token = SpecialToken()
    sep_token = SpecialToken()
    pad_token = SpecialToken()
    cls_token = SpecialToken()
    mask_token = SpecialToken()
    bos_token_id = SpecialTokenId()
    eos_token_id = SpecialTokenId()
    unk_token_id = SpecialTokenId()
    sep_token_id = SpecialTokenId()
    pad_token_id = SpecialTokenId()
    cls_token_id = SpecialTokenId()
    mask_token_id = SpecialTokenId()

    backend_tokenizer: Tokenizer

    def __init__(self, special_tokens: Mapping[str, Any]) -> None:
        self.named: dict[str, str] = {}
        self.extra_special_tokens: list[str] = []
        self.pad_is_preset = False  # the eos_token, since no pad_token was named
        self._preset_was_said = False
        if not special_tokens.keys() - {"pad_token", *MORE}:  # which are named beside the others
            self._find_usual()
        self.add_special_tokens(special_tokens)
        if self.pad_token is None and self.eos_token is not None:
            self.pad_token = self.eos_token
            self.pad_is_preset = True

    def _find_usual(self) -> None:
        vocab = self.backend_tokenizer.get_vocab()
        for name, tokens in USUAL.items():
            known = [token for token in tokens if token in vocab]
            if known:
                self.named[name] = known[0]

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The special tokens by what they are for."""
        return {name: self.named[name] for name in NAMES if name in self.named}

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens, each once."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """Their ids."""
        ids = map(self.backend_tokenizer.token_to_id, self.all_special_tokens)
        return [index for index in ids if index is not None]

    def add_special_tokens(self, special_tokens_dict: Mapping[str, Any]) -> int:
        """Say which tokens have a meaning of their own; those that are new get the next ids.

        Parameters
        ----------
        special_tokens_dict : mapping
            ``{"pad_token": "[PAD]"}``; ``"additional_special_tokens"`` takes a list.

        Returns
        -------
        int
            How many were not in the vocabulary. A model needs a row of its embedding for each.

        Raises
        ------
        ValueError
            If it is unknown what a token is for.
        """
        before = self.backend_tokenizer.get_vocab_size()
        for name, value in special_tokens_dict.items():
            if name not in (*NAMES, *MORE):
                raise ValueError(
                    f"a special token is one of {', '.join((*NAMES, *MORE))}; got {name!r}"
                )
            if value is None:
                continue
            tokens = list(value) if name in MORE else [value]
            texts = [text_of(token) for token in tokens]
            self.backend_tokenizer.add_special_tokens([as_special(token) for token in tokens])
            if name in MORE:
                new = [text for text in texts if text not in self.extra_special_tokens]
                self.extra_special_tokens += new
            else:
                setattr(self, name, texts[0])
        return int(self.backend_tokenizer.get_vocab_size() - before)

    def add_tokens(
        self, new_tokens: str | AddedToken | Iterable[Any], special_tokens: bool = False
    ) -> int:
        """Add tokens to the vocabulary, which are then never cut.

        Parameters
        ----------
        new_tokens : str, AddedToken or iterable of them
            What to add.
        special_tokens : bool
            Whether ``decode(..., skip_special_tokens=True)`` leaves them out.

        Returns
        -------
        int
            How many are new.
        """
        one = isinstance(new_tokens, str) or hasattr(new_tokens, "content")
        tokens: list[Any] = [new_tokens] if one else list(new_tokens)  # type: ignore[arg-type]
        if special_tokens:
            tokens = [as_special(token) for token in tokens]
            return int(self.backend_tokenizer.add_special_tokens(tokens))
        return int(self.backend_tokenizer.add_tokens(tokens))

    def require_pad(self) -> tuple[int, str]:
        """Return id and text of the token that fills up.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.pad_token is None:
            raise ValueError(
                "padding needs a pad_token, and this tokenizer has none, nor an eos_token to take "
                "instead. Name one of its tokens, tokenizer.pad_token = '...', or add one: "
                "add_special_tokens({'pad_token': '[PAD]'})"
            )
        if self.pad_is_preset and not self._preset_was_said:
            self._preset_was_said = True
            warn_caller(
                f"the tokenizer has no pad_token: {self.pad_token!r}, its eos_token, fills up, and "
                "attention_mask says where. tokenizer.pad_token = tokenizer.eos_token says so "
                "beforehand"
            )
        return self.pad_token_id, self.pad_token
