"""The one contract of language models holds for those that read whole sequences."""

import math

import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm.models import AutoModelForCausalLM, GPT2Config, LlamaConfig
from minilm.models.decoder import Decoder
from minilm.training import evaluate, train, validate

LENGTH = 8
GPT2 = GPT2Config(
    vocab_size=5,
    n_positions=LENGTH,
    n_embd=12,
    n_layer=2,
    n_head=3,
    bos_token_id=None,
    eos_token_id=None,
    resid_pdrop=0.0,
    embd_pdrop=0.0,
    attn_pdrop=0.0,
)
LLAMA = LlamaConfig(
    vocab_size=5,
    hidden_size=12,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=LENGTH,
    eos_token_id=None,
)
TEXT = np.tile([0, 1, 2, 0, 3, 4, 2], 45)  # what follows 0 depends on what was before it

every_config = pytest.mark.parametrize("config", [GPT2, LLAMA], ids=["gpt2", "llama"])


def make(config):
    minilm.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


@every_config
def test_the_engine_trains_it_and_it_writes_what_it_learned(config, tmp_path):
    model = make(config)
    options = {"epochs": 15, "batch_size": 4, "lr": 1e-2, "seed": 0, "verbose": 0}
    history = model.fit(TEXT, TEXT[:60], output_dir=str(tmp_path / "run"), **options)
    losses = history.history["val_loss"]
    assert losses[-1] < 0.4 * losses[0]
    written = model.generate([0, 1, 2], max_new_tokens=24, do_sample=False).tolist()
    assert written[:LENGTH] == TEXT[:LENGTH].tolist()
    assert len(written) == 27, "which is more than there are positions"
    kept = max((tmp_path / "run").glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    again = AutoModelForCausalLM.from_pretrained(kept)
    assert again.generate([0, 1, 2], max_new_tokens=24, do_sample=False).tolist() == written


@every_config
def test_evaluation_keeps_within_the_positions(config):
    model = make(config).eval()
    found = evaluate(model, TEXT[:50], seq_len=128)
    assert found.tokens == 49
    assert found.loss == pytest.approx(slow_loss(model, TEXT[:50]), rel=1e-5)


def slow_loss(model, ids: np.ndarray) -> float:
    """Each token once, after at least half as many as there are positions, or all there are."""
    half, total = LENGTH // 2, 0.0
    for place in range(1, len(ids)):
        begin = max(0, (place - 1) // half - 1) * half
        logits = model(ids[None, begin:place]).logits[0, -1:]
        total += F.cross_entropy(logits, ids[place : place + 1]).item()
    return total / (len(ids) - 1)


@every_config
def test_the_tutorials_loops_take_it(config, capsys):
    model = make(config)
    windows = np.stack([TEXT[i : i + LENGTH] for i in range(4)])
    targets = np.stack([TEXT[i + 1 : i + 1 + LENGTH] for i in range(4)])
    loader, criterion = [(windows, targets)] * 3, minilm.nn.CrossEntropyLoss()
    optimizer = minilm.optim.Adam(model.parameters(), lr=0.02)
    train(model, loader, criterion, optimizer, num_epochs=8)
    assert capsys.readouterr().out.count("Average Loss") == 8
    assert validate(model, loader, criterion) < math.log(5) / 2


@every_config
def test_writing_depends_on_the_seed_alone(config):
    model = make(config)
    first, again, other = (
        model.generate([[0, 1], [2, 3]], max_new_tokens=12, seed=seed).tolist()
        for seed in (7, 7, 8)
    )
    assert first == again != other


def test_a_subclass_must_say_what_it_is_made_of():
    decoder = Decoder(GPT2)
    with pytest.raises(NotImplementedError):
        decoder([[0]])


def test_special_tokens_of_another_vocabulary_end_nothing():
    config = GPT2Config(vocab_size=5, n_positions=LENGTH, n_embd=12, n_layer=1, n_head=3)
    assert config.eos_token_id == 50256  # as the published model has it
    model = AutoModelForCausalLM.from_config(config)
    assert len(model.generate([0, 1], max_new_tokens=3).tolist()) == 5
    with pytest.raises(IndexError, match="another tokenizer's"):
        model.generate([0, 1], max_new_tokens=3, eos_token_id=5)
