"""Hugging Face's ``datasets`` feed tokenizer, loader and trainer, as the unit's notebooks do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.tokenizer_cases import SENTENCES
from tokenization_helpers import byte_pairs, word_pieces

import minilm
from minilm.data import DataCollatorForLanguageModeling, DataLoader, default_data_collator
from minilm.training import Trainer, TrainingArguments

datasets = pytest.importorskip("datasets")

BLOCK = 8
REVIEWS = {"sentence": ["a cat", "the dog sat on it", "the mat", "a dog"], "label": [1, 0, 1, 0]}


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)


@pytest.fixture
def tokenizer(tmp_path: Path):
    return byte_pairs(tmp_path)


def group_texts(examples):
    """Join all texts and cut them into blocks, as Hugging Face's course does."""
    joined = {name: sum(rows, []) for name, rows in examples.items()}
    total = len(joined["input_ids"]) // BLOCK * BLOCK
    return {
        name: [ids[start : start + BLOCK] for start in range(0, total, BLOCK)]
        for name, ids in joined.items()
    }


def blocks(tokenizer):
    """Return the unit's data set: blocks of ids, with labels."""
    lines = datasets.Dataset.from_dict({"Text": SENTENCES.split(". "), "author": ["x"] * 13})
    lines = lines.remove_columns(["author"])
    tokens = lines.map(lambda rows: tokenizer(rows["Text"]), batched=True, remove_columns=["Text"])
    grouped = tokens.map(group_texts, batched=True)
    return grouped.add_column("labels", grouped["input_ids"])


def tiny_gpt(tokenizer):
    minilm.manual_seed(0)
    settings = dict(n_embd=16, n_layer=1, n_head=2, n_positions=32)
    return minilm.GPT2LMHeadModel(minilm.GPT2Config(vocab_size=len(tokenizer), **settings))


def arguments(folder: Path, **settings):
    return TrainingArguments(
        output_dir=str(folder / "run"), disable_tqdm=True, report_to="none", **settings
    )


def test_blocks_hold_the_text(tokenizer):
    found = blocks(tokenizer)
    assert found.column_names == ["input_ids", "attention_mask", "labels"]
    ids = [token for row in found["input_ids"] for token in row]
    assert tokenizer.decode(ids).startswith("The cat sat on the mat, and the dog")


@pytest.mark.parametrize("form", [None, "numpy"])
def test_a_loader_takes_a_data_set(tokenizer, form):
    found = blocks(tokenizer).with_format(form)
    loader = DataLoader(found, batch_size=4, shuffle=True, collate_fn=default_data_collator)
    batch = next(iter(loader))
    assert {name: value.shape for name, value in batch.items()} == dict.fromkeys(
        ["input_ids", "attention_mask", "labels"], (4, BLOCK)
    )
    output = tiny_gpt(tokenizer)(**batch)
    output.loss.backward()
    assert np.isfinite(output.loss.item())


def test_a_loader_stacks_arrays_by_itself(tokenizer):
    found = blocks(tokenizer)
    found.set_format("numpy")
    batch = next(iter(DataLoader(found, batch_size=4)))
    assert batch["input_ids"].shape == (4, BLOCK)
    assert batch["input_ids"].tolist() == found[:4]["input_ids"].tolist()


def test_the_loop_of_the_notebook_learns(tokenizer):
    model = tiny_gpt(tokenizer)
    optimizer = minilm.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(6):
        for batch in DataLoader(blocks(tokenizer), 8, collate_fn=default_data_collator):
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[-1] < losses[0] - 1


def test_the_trainer_takes_a_data_set(tokenizer, tmp_path):
    found = blocks(tokenizer).add_column("line", ["x"] * len(blocks(tokenizer)))
    trainer = Trainer(
        tiny_gpt(tokenizer),
        arguments(tmp_path, max_steps=4, per_device_train_batch_size=4),
        train_dataset=found,
        eval_dataset=found,
    )
    first = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < first
    assert trainer.predict(found).predictions.shape == (len(found), BLOCK, len(tokenizer))


def test_lines_are_filled_up_batch_by_batch(tokenizer, tmp_path):
    lines = datasets.Dataset.from_dict({"Text": SENTENCES.split(". ")})
    lines = lines.map(lambda rows: tokenizer(rows["Text"]), batched=True)
    trainer = Trainer(
        tiny_gpt(tokenizer),
        arguments(tmp_path, max_steps=3, per_device_train_batch_size=3),
        DataCollatorForLanguageModeling(tokenizer, mlm=False),
        train_dataset=lines,
        processing_class=tokenizer,
    )
    assert trainer.train().global_step == 3
    trainer.save_model(str(tmp_path / "saved"))
    again = minilm.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.encode(SENTENCES) == tokenizer.encode(SENTENCES)


def test_a_classifier_learns_from_a_data_set(tmp_path):
    tokenizer = word_pieces(tmp_path)
    found = datasets.Dataset.from_dict(REVIEWS)
    found = found.map(lambda rows: tokenizer(rows["sentence"], truncation=False), batched=True)
    minilm.manual_seed(0)
    config = minilm.DistilBertConfig(
        vocab_size=len(tokenizer), dim=16, n_layers=1, n_heads=2, hidden_dim=32, num_labels=2
    )
    trainer = Trainer(
        minilm.DistilBertForSequenceClassification(config),
        arguments(tmp_path, max_steps=60, per_device_train_batch_size=4, learning_rate=1e-2),
        train_dataset=found,
        eval_dataset=found,
        processing_class=tokenizer,  # which fills up
    )
    trainer.train()
    output = trainer.predict(found)
    picked = output.predictions[np.arange(4), output.label_ids]
    nats = np.log(np.exp(output.predictions).sum(axis=1)) - picked
    reached = trainer.evaluate()
    assert reached["eval_loss"] == pytest.approx(nats.mean(), rel=1e-5) and nats.mean() < 0.5
    assert "eval_perplexity" not in reached
    trainer.save_model()
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoint-60"):
        again = minilm.AutoModelForSequenceClassification.from_pretrained(folder)
        inputs = found.with_format("numpy")[:1]["input_ids"]
        with minilm.no_grad():
            np.testing.assert_array_equal(again(inputs).logits, trainer.model(inputs).logits)
