"""nanoGPT's recipe for a laptop: a small GPT on the characters of tiny-shakespeare.

Karpathy, https://github.com/karpathy/nanoGPT, README, "I only have a macbook": 4 layers of 4 heads,
128 wide, blocks of 64 characters, 12 of them a step, 2000 steps.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from minilm.data import TokenDataset, encode_text, train_char_tokenizer
from minilm.evaluation import evaluate
from minilm.models import GPT2Config, GPT2LMHeadModel
from minilm.random import manual_seed
from minilm.repro.experiment import Experiment, Outcome, Say
from minilm.training import Trainer, TrainingArguments

BLOCK, STEPS = 64, 2000
ARGUMENTS = TrainingArguments(
    per_device_train_batch_size=12,
    learning_rate=1e-3,
    lr_scheduler_type="cosine_with_min_lr",
    lr_scheduler_kwargs={"min_lr": 1e-4},
    warmup_steps=100,
    adam_beta2=0.99,
    weight_decay=0.1,
    max_grad_norm=1.0,
    logging_strategy="no",
    save_strategy="no",
    seed=0,
)
INT8_TOKENS = 10_000


def _run(path: Path, share: float, say: Say) -> list[Outcome]:
    text = path.read_text(encoding="utf-8")
    tokenizer = train_char_tokenizer(text)
    ids = encode_text(tokenizer, text)
    train, held_out = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    manual_seed(0)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=BLOCK,
        n_embd=128,
        n_layer=4,
        n_head=4,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    )
    model = GPT2LMHeadModel(config)
    steps = max(2, round(share * STEPS))
    args = replace(ARGUMENTS, max_steps=steps, warmup_steps=round(share * ARGUMENTS.warmup_steps))
    started = time.perf_counter()
    Trainer(model, args, train_dataset=TokenDataset(train, BLOCK)).train()
    minutes = (time.perf_counter() - started) / 60
    # Blocks that do not overlap, of the whole last tenth: nanoGPT draws some of them.
    found = evaluate(model, TokenDataset(held_out[: int(share * len(held_out))], BLOCK, BLOCK))
    some = TokenDataset(held_out[: INT8_TOKENS + 1], BLOCK, BLOCK)
    rounded, exact = (evaluate(m, some).perplexity for m in (model.quantize(), model))
    say(str(tokenizer.decode(list(model.generate(ids[:1], BLOCK - 1, do_sample=True, seed=0)))))
    return [
        Outcome("validation, nats a character", found.loss, 1.90),
        Outcome("perplexity in int8, times that in float32", rounded / exact, 1.01),
        Outcome("minutes", minutes),
    ]


NANOGPT = Experiment(
    "nanogpt",
    "nanoGPT's recipe for a laptop: a GPT of 0.8 million parameters on tiny-shakespeare",
    "tinyshakespeare.txt",
    _run,
)
