"""Running the command as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 60

TINY = "--hidden 16 --embed 8 --seq-len 16 --batch-size 4 --epochs 2 --seed 3".split()

COMMAND = [sys.executable, "-m", "minilm"]


def minilm(
    *arguments: object, stdin: str | bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``minilm`` and return what it printed."""
    data = stdin.encode("utf-8") if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=data,
        capture_output=True,
        timeout=100,
        cwd=cwd,
        env=environment(),
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def environment() -> dict[str, str]:
    """Return an environment in which a new process imports what this one imports."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    # What is printed is UTF-8 in any case: the tests would see it if it followed the platform.
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "latin-1"}


def save_transformer(folder: Path, kind: str = "gpt2") -> Path:
    """Save a small transformer that has learned nothing, with the characters of `TEXT`."""
    import minilm as lm
    from minilm.data.tokenizer import train_char_tokenizer
    from minilm.models import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    tokenizer = train_char_tokenizer(TEXT)
    sizes = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 32}
    sizes |= {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    sizes |= {"initializer_range": 0.3, "bos_token_id": None, "eos_token_id": None}
    lm.manual_seed(5)
    if kind == "gpt2":
        GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(folder, tokenizer)
    else:
        LlamaForCausalLM(LlamaConfig(**sizes, intermediate_size=32)).save_pretrained(
            folder, tokenizer
        )
    return folder
