import numpy as np
import pytest
from generation_helpers import MODELS, Wrapped, gpt2, logits_after, recurrent

from minilm import nn
from minilm.generation.generate import reading
from minilm.generation.prompt import prompt_of
from minilm.generation.readers import (
    CacheReader,
    DecoderReader,
    HistoryReader,
    NGramReader,
    PackedReader,
    StateReader,
    reader_of,
)
from minilm.models.decoding import SHORT_PROMPT

IDS = [[0, 0, 3, 5], [1, 4, 2, 6], [0, 5, 5, 1]]
MASK = [[0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1]]
TEXTS = [[3, 5], [1, 4, 2, 6], [5, 5, 1]]


def close(logits, model, texts) -> None:
    expected = np.stack([logits_after(model, text) for text in texts])
    np.testing.assert_allclose(logits, expected, rtol=2e-4, atol=2e-4)


def test_each_model_is_read_in_its_own_way():
    kinds = {name: type(reader_of(make())) for name, make in MODELS.items()}
    assert kinds == {
        "ngram": NGramReader,
        **dict.fromkeys(["rnn", "lstm", "gru", "mingru", "minlstm", "awd", "int8"], DecoderReader),
        "state": StateReader,
        **dict.fromkeys(["no state", "output"], HistoryReader),
        **dict.fromkeys(["gpt2", "llama"], CacheReader),
        **dict.fromkeys(["gpt2 int8", "llama int8"], PackedReader),
    }
    assert isinstance(reader_of(gpt2(), use_cache=False), HistoryReader)


@pytest.mark.parametrize("name", MODELS)
def test_reading_on_is_reading_everything_again(name):
    """From a padded batch, with rows taken twice and left out, token after token."""
    model = MODELS[name]()
    texts = [list(text) for text in TEXTS]
    with reading(model):
        reader = reader_of(model)
        close(reader.start(prompt_of(IDS, MASK)), model, texts)
        for step, rows in enumerate([[0, 1, 2], [2, 2, 0], [1, 0, 2], [2, 1]]):
            reader.reorder(np.array(rows))
            tokens = np.arange(len(rows)) + step
            texts = [[*texts[row], int(t)] for row, t in zip(rows, tokens, strict=True)]
            close(reader.step(tokens), model, texts)


@pytest.mark.parametrize("name", ["lstm", "awd", "state", "minlstm", "gpt2", "gpt2 int8"])
def test_long_prompts_of_several_lengths(name):
    model = MODELS[name]()
    ids = np.random.default_rng(0).integers(0, 7, (3, SHORT_PROMPT + 4))
    mask = np.ones_like(ids)
    mask[0, :8] = mask[1, :1] = 0
    texts = [ids[0, 8:].tolist(), ids[1, 1:].tolist(), ids[2].tolist()]
    with reading(model):
        reader = reader_of(model)
        close(reader.start(prompt_of(ids, mask)), model, texts)
        texts = [[*text, 4] for text in texts]
        close(reader.step(np.array([4, 4, 4])), model, texts)


@pytest.mark.parametrize("name", ["gpt2", "gpt2 int8"])
def test_behind_the_last_position_a_model_reads_the_last_of_a_text(name):
    model = MODELS[name]()
    assert model.max_length == 40
    ids = np.random.default_rng(1).integers(0, 7, (2, 38))
    texts = ids.tolist()
    with reading(model):
        reader = reader_of(model)
        reader.start(prompt_of(ids))
        for token in range(5):
            texts = [[*text, token] for text in texts]
            close(reader.step(np.array([token] * 2)), model, [text[-40:] for text in texts])
        reader.reorder(np.array([1]))
        close(reader.step(np.array([6])), model, [[*texts[1], 6][-40:]])
        long = np.random.default_rng(2).integers(0, 7, (1, 45))
        close(reader_of(model).start(prompt_of(long)), model, [long[0, -40:].tolist()])


class Total(nn.Module):
    """A model whose state is no tensor with a batch on axis 1."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = recurrent()

    def forward_with_state(self, x, state=None):
        return self.inner(x), "read"

    def forward(self, x):
        return self.inner(x)


def test_a_state_whose_rows_are_unknown_cannot_be_picked():
    model = Total()
    with reading(model):
        reader = reader_of(model)
        reader.start(prompt_of([[1, 2]]))
        with pytest.raises(ValueError, match=r"tensors \(layers, batch, .*got str.*use_cache=Fal"):
            reader.reorder(np.array([0, 0]))
        with pytest.raises(ValueError, match="texts of several lengths"):
            reader_of(model).start(prompt_of(IDS, MASK))


def test_the_reader_of_a_wrapped_model_keeps_states_of_any_nesting():
    model = Wrapped(MODELS["lstm"]())
    with reading(model):
        reader = reader_of(model)
        reader.start(prompt_of(IDS, MASK))
        hidden, cell = reader._state
    assert hidden.shape == cell.shape == (2, 3, 9)
