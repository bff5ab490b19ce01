"""Write what the tokenizers of ``transformers`` answer to ``data/``; needs transformers 5.

Run it after a change of the cases, from the folder ``tests``, with the path of GPT-2's vocabulary::

    python -m reference.make_tokenizers ../../shared/data/gpt2
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from transformers import BertTokenizer, DistilBertTokenizer, GPT2Tokenizer

from minilm.data import train_bpe_tokenizer

from .stored import DATA
from .tokenizer_cases import CALLS, SENTENCES, TEXTS, WORD_PIECES, plain


def answers(tokenizer, calls: bool = True) -> dict[str, object]:
    """Return the ids of all texts, what they decode to, and what calls give."""
    found: dict[str, object] = {"ids": [tokenizer(text)["input_ids"] for text in TEXTS]}
    if calls:
        found["decoded"] = [tokenizer.decode(ids) for ids in found["ids"]]
        found["without"] = [tokenizer.decode(ids, skip_special_tokens=True) for ids in found["ids"]]
        found["calls"] = {name: plain(tokenizer(**call)) for name, call in CALLS.items()}
    return found


def gpt2(folder: Path):
    """Return GPT-2's tokenizer over a vocabulary; its pad token is the one that ends texts."""
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    return GPT2Tokenizer(*files, pad_token="<|endoftext|>")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train_bpe_tokenizer(SENTENCES, 330).model.save(name)
        pieces = folder / "vocab.txt"
        pieces.write_text("\n".join(WORD_PIECES) + "\n", encoding="utf-8")
        files = {file: (folder / file).read_text("utf-8") for file in ("vocab.json", "merges.txt")}
        vocab = {piece: index for index, piece in enumerate(WORD_PIECES)}
        stored = {
            "byte pairs": {"files": files, **answers(gpt2(folder))},
            "bert": answers(BertTokenizer(vocab)),
            "bert, cased": answers(BertTokenizer(vocab, do_lower_case=False)),
            "distilbert": answers(DistilBertTokenizer(vocab)),
            "gpt2": answers(gpt2(Path(sys.argv[1])), calls=False),
        }
    text = json.dumps(stored, ensure_ascii=True, separators=(",", ":")) + "\n"
    (DATA / "tokenizers.json").write_text(text, encoding="utf-8")
