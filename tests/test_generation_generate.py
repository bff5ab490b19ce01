import numpy as np
import pytest
from training_helpers import Bigram, WithOutput, tiny_model

import minilm
from minilm import nn
from minilm.data.tokenizer import train_char_tokenizer, train_word_tokenizer
from minilm.generation import generate, start_ids, stream_text
from minilm.models import RNNModel
from minilm.models.decoding import SHORT_PROMPT

PROMPT = np.array([1, 2, 3])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_carrying_the_state_is_reading_everything_again(cell):
    model = tiny_model(cell).eval()
    out = generate(model, PROMPT, 20, temperature=0)
    ids = PROMPT.tolist()
    with minilm.no_grad():
        for _ in range(20):
            ids.append(int(model(np.array([ids])).numpy()[0, -1].argmax()))
    assert out.tolist() == ids


@pytest.mark.parametrize("kind", [Bigram, WithOutput])
def test_models_without_state_write_too(kind):
    minilm.manual_seed(0)
    model = kind()
    table = model.table.weight.detach().numpy()
    out = generate(model, [2], 6, temperature=0).tolist()
    assert out == [2] + [int(table[before].argmax()) for before in out[:-1]]


def test_the_axes_are_those_of_the_prompt():
    model = tiny_model()
    assert generate(model, PROMPT, 4, seed=0).shape == (7,)
    assert generate(model, PROMPT[None], 4, seed=0).shape == (1, 7)
    assert generate(model, minilm.tensor([[1, 2], [3, 4]]), 4, seed=0).shape == (2, 6)
    assert generate(model, PROMPT, 0).tolist() == PROMPT.tolist()


def test_the_first_text_of_a_batch_is_the_one_written_alone():
    model = tiny_model()
    both = generate(model, [[1, 2], [3, 4]], 10, seed=5).tolist()
    assert generate(model, [1, 2], 10, seed=5).tolist() == both[0]
    assert generate(model, [3, 4], 10, seed=6).tolist() == both[1]


def test_seeds():
    model = tiny_model()
    assert (
        generate(model, PROMPT, 30, seed=1).tolist() == generate(model, PROMPT, 30, seed=1).tolist()
    )
    assert (
        generate(model, PROMPT, 30, seed=1).tolist() != generate(model, PROMPT, 30, seed=2).tolist()
    )
    minilm.manual_seed(7)
    first, second = (generate(model, PROMPT, 30).tolist() for _ in range(2))
    minilm.manual_seed(7)
    assert generate(model, PROMPT, 30).tolist() == first != second


def test_samples_follow_the_models_probabilities():
    minilm.manual_seed(0)
    model = Bigram()
    logits = model.table.weight.detach().numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    ids = generate(model, np.zeros((40, 1), np.int64), 100, seed=0).numpy()
    counts = np.zeros((5, 5))
    np.add.at(counts, (ids[:, :-1].ravel(), ids[:, 1:].ravel()), 1)
    np.testing.assert_allclose(counts / counts.sum(1, keepdims=True), expected, atol=0.06)


def test_top_k_and_top_p_leave_the_unlikely_out():
    minilm.manual_seed(0)
    model = Bigram()
    order = np.argsort(-model.table.weight.detach().numpy(), axis=1)
    ids = generate(model, [0], 300, top_k=2, seed=0).numpy()
    assert all(after in order[before, :2] for before, after in zip(ids, ids[1:], strict=False))
    ids = generate(model, [0], 300, top_p=1e-6, seed=0).numpy()
    assert all(after == order[before, 0] for before, after in zip(ids, ids[1:], strict=False))


def test_new_tokens_are_told_as_they_come():
    told = []
    out = generate(
        tiny_model(), [[1], [2]], 3, seed=0, on_token=lambda column: told.append(column.tolist())
    )
    assert np.array(told).T.tolist() == out.numpy()[:, 1:].tolist()


def test_the_mode_is_left_as_it_was_and_dropout_is_off():
    model = tiny_model(dropout=0.9).train()
    texts = [generate(model, PROMPT, 20, temperature=0).tolist() for _ in range(2)]
    assert texts[0] == texts[1]
    assert model.training


# --- both ways of writing -------------------------------------------------------------------------


class Wrapped(nn.Module):
    """A recurrent model that is not known to be one: it writes through its forward pass."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)

    def forward_with_state(self, x, state=None):
        return self.model.forward_with_state(x, state)


OPTIONS = [
    {"do_sample": False},
    {},
    {"temperature": 0.7, "top_k": 3},
    {"top_p": 0.8},
    {"suppress_tokens": [0, 3]},
    {"eos_token_id": 2},
    {"eos_token_id": 2, "suppress_tokens": [1], "top_k": 4},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("length", [1, 5, SHORT_PROMPT + 10])
def test_packed_weights_write_what_the_forward_pass_writes(cell, length, options):
    model = tiny_model(cell)
    prompt = np.random.default_rng(0).integers(0, 5, (4, length))
    for seed in range(3):
        told = []
        text = generate(model, prompt, 25, seed=seed, **options).tolist()
        assert generate(Wrapped(model), prompt, 25, seed=seed, **options).tolist() == text
        generate(
            model, prompt, 25, seed=seed, **options, on_token=lambda c, t=told: t.append(c + 0)
        )
        assert np.stack(told, 1).tolist() == [row[length:] for row in text]


def test_without_sampling_the_likeliest_is_taken_whatever_else_is_said():
    model = tiny_model()
    greedy = generate(model, PROMPT, 20, temperature=0).tolist()
    options = {"temperature": 5.0, "top_p": 0.9, "seed": 3}
    assert generate(model, PROMPT, 20, do_sample=False, **options).tolist() == greedy
    assert model.generate(PROMPT, 20, do_sample=False, **options).tolist() == greedy
    assert generate(model, PROMPT, 20, do_sample=True, **options).tolist() != greedy


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_a_text_ends_with_its_last_token(wrap):
    model = wrap(tiny_model())
    alone = [generate(model, [1 + 2 * i], 60, seed=7 + i, eos_token_id=4) for i in range(2)]
    together = generate(model, [[1], [3]], 60, seed=7, eos_token_id=4).tolist()
    lengths = [text.shape[0] for text in alone]
    assert lengths[0] != lengths[1] and max(lengths) < 61
    assert len(together[0]) == max(lengths)
    for text, row in zip(alone, together, strict=True):
        assert text.tolist()[-1] == 4 and 4 not in text.tolist()[1:-1]
        assert row == text.tolist() + [4] * (max(lengths) - len(text.tolist()))


def test_an_end_that_is_no_id_is_refused():
    with pytest.raises(ValueError, match="eos_token_id: expected an id, .* None .*, got -1"):
        generate(tiny_model(), PROMPT, 1, eos_token_id=-1)


def test_the_state_of_a_long_prompt_is_that_of_a_short_one():
    """The forward pass reads long prompts, the decoder short ones."""
    model = tiny_model("gru")
    prompt = np.random.default_rng(1).integers(0, 5, SHORT_PROMPT + 2)
    long = generate(model, prompt, 10, do_sample=False).tolist()
    ids, state = prompt[None], None
    with minilm.no_grad():
        for _ in range(10):
            new = ids if state is None else ids[:, -1:]
            logits, state = model.forward_with_state(new, state)
            ids = np.append(ids, logits.numpy()[:, -1].argmax(1)[None], axis=1)
    assert long == ids[0].tolist()


def test_a_model_may_call_a_part_of_its_own_decoder():
    """As PyTorch's own example of a language model does."""

    class Model(RNNModel):
        def __init__(self):
            super().__init__(5, 4, 8)
            self.decoder = nn.Linear(8, 5)

        def forward_with_state(self, x, state=None):
            hidden, state = self.rnn(self.embedding(x), state)
            return self.decoder(hidden), state.detach()

    assert generate(Model(), PROMPT, 5, seed=0).shape == (8,)


def test_nothing_is_left_on_the_tape():
    assert not generate(tiny_model(), PROMPT, 2, seed=0).requires_grad


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ([], ValueError, "prompt is empty"),
        ([[]], ValueError, "prompt is empty"),
        ([[[1]]], ValueError, r"\(time,\) or \(batch, time\); got the shape \(1, 1, 1\)"),
        ([0.5], TypeError, "token ids are integers; got float64"),
    ],
)
def test_a_prompt_that_is_none(prompt, error, message):
    with pytest.raises(error, match=message):
        generate(tiny_model(), prompt, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": -1}, "top_k: expected 0 .* got -1"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_new_tokens": -1}, "max_new_tokens: expected a number of tokens, 0 or more, got -1"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        generate(tiny_model(), PROMPT, **{"max_new_tokens": 1, **options})


def test_ids_outside_the_vocabulary_are_refused():
    with pytest.raises(IndexError, match="9"):
        generate(tiny_model(), [1, 9], 1)


TEXT = "The cat sat on the mat.\n\nThe dog, a big one, sat on the log.\n"


@pytest.mark.parametrize("train", [train_char_tokenizer, train_word_tokenizer])
@pytest.mark.parametrize("prompt", ["The cat", "The dog,", ""])
def test_the_pieces_make_the_decoded_text(train, prompt):
    tokenizer = train(TEXT)
    minilm.manual_seed(0)
    model = RNNModel(tokenizer.get_vocab_size(), 4, 8)
    pieces: list[str] = []
    stream_text(model, tokenizer, prompt, 30, write=pieces.append, seed=0)
    ids = tokenizer.encode(prompt).ids or start_ids(tokenizer).tolist()
    unknown = tokenizer.token_to_id("<unk>")
    out = generate(model, ids, 30, seed=0, suppress_tokens=[unknown]).tolist()
    assert unknown not in out
    expected = tokenizer.decode(out if prompt else out[len(ids) :])
    assert "".join(pieces) == expected
    assert len(pieces) > 10


def test_without_a_prompt_it_starts_after_a_paragraph():
    tokenizer = train_char_tokenizer("ab.\n")
    assert tokenizer.decode(start_ids(tokenizer).tolist()) == ".\n\n"
    tokenizer = train_char_tokenizer("ab\n")
    assert tokenizer.decode(start_ids(tokenizer).tolist()) == "\n\n"
    assert start_ids(train_char_tokenizer("ab")).tolist() == [0]
