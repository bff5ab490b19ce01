"""What the core writes with the packed weights of GPT-2 and Llama is what the models say."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import minilm
from minilm import _core, nn
from minilm.generation import generate
from minilm.models import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from minilm.models.decoding import SHORT_PROMPT, decoder_of, pack, zero_states

kernels = pytest.mark.kernels
VOCAB, POSITIONS = 37, 70


def gpt2(**settings: Any) -> GPT2LMHeadModel:
    """A model whose weights are large enough that everything matters."""
    sizes = {"vocab_size": VOCAB, "n_positions": POSITIONS, "n_embd": 60, "n_layer": 2, "n_head": 3}
    ids = {"bos_token_id": None, "eos_token_id": None}
    return started(GPT2LMHeadModel(GPT2Config(**(sizes | ids | settings))))


def llama(**settings: Any) -> LlamaForCausalLM:
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": 42,
        "intermediate_size": 75,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 20,
        "max_position_embeddings": POSITIONS,
        "eos_token_id": None,
    }
    return started(LlamaForCausalLM(LlamaConfig(**(sizes | settings))))


def started(model: Any) -> Any:
    """Draw all parameters, biases and norms, too."""
    rng = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        numbers = rng.normal(0, 0.2, parameter.shape).astype(np.float32)
        is_norm = any(part in name for part in ("ln_", "norm"))
        parameter.detach().numpy()[...] = numbers + (is_norm and name.endswith("weight"))
    return model.eval()


MODELS = {
    "gpt2": lambda: gpt2(),
    "one head of 60": lambda: gpt2(n_head=1),
    "heads of 4, 5 inner units": lambda: gpt2(n_head=15, n_inner=5),
    "other settings": lambda: gpt2(
        activation_function="relu",
        scale_attn_weights=False,
        scale_attn_by_inverse_layer_idx=True,
        layer_norm_epsilon=0.1,
        tie_word_embeddings=False,
    ),
    "gelu": lambda: gpt2(activation_function="gelu", n_layer=1),
    "llama": lambda: llama(),
    "one group": lambda: llama(num_key_value_heads=1, tie_word_embeddings=True),
    "six groups, biases": lambda: llama(
        num_key_value_heads=6, attention_bias=True, mlp_bias=True, hidden_act="gelu_new"
    ),
    "stretched": lambda: llama(
        rope_parameters={"rope_theta": 50.0, "rope_type": "linear", "factor": 4.0}
    ),
}


@pytest.fixture(params=MODELS, ids=str)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


def ids_of(batch: int, time: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, VOCAB, (batch, time))


def logits_of(model: Any, ids: np.ndarray) -> np.ndarray:
    with minilm.no_grad():
        logits: np.ndarray = model(ids).logits.numpy()
    return logits


def read(decoder: _core.Decoder, ids: np.ndarray, states: Any = None) -> np.ndarray:
    states = zero_states(decoder, len(ids)) if states is None else states
    logits = decoder.read(np.ascontiguousarray(ids), states)
    assert logits is not None
    return logits


def close(got: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-4 of the largest."""
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


# --- logits ---------------------------------------------------------------------------------------


@kernels
def test_logits_are_those_of_the_model_to_the_end_of_the_context(model):
    ids = ids_of(2, POSITIONS)
    expected = logits_of(model, ids)
    decoder = pack(model)
    close(read(decoder, ids), expected)
    states = zero_states(decoder, 2)
    steps = [read(decoder, ids[:, t : t + 1], states) for t in range(POSITIONS)]
    close(np.concatenate(steps, axis=1), expected)
    assert states[2].tolist() == [[POSITIONS, POSITIONS]]


@kernels
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("make", [gpt2, llama])
def test_in_pieces_in_batches_or_alone_the_bits_are_the_same(make, int8):
    decoder, ids = pack(make(), int8), ids_of(5, 50)
    together = read(decoder, ids)
    for text in range(5):
        states = zero_states(decoder, 1, 50)
        pieces = np.split(ids[text : text + 1], [1, 7, 8, 49], axis=1)
        alone = np.concatenate([read(decoder, piece, states) for piece in pieces], axis=1)
        np.testing.assert_array_equal(alone[0], together[text])


@pytest.mark.parametrize("int8", [False, True])
def test_texts_side_by_side_may_stand_at_different_places(int8):
    decoder, ids = pack(llama(), int8), ids_of(2, 30)
    states, alone = zero_states(decoder, 2), []
    for text, length in enumerate([3, 26]):
        own = zero_states(decoder, 1)
        logits = read(decoder, ids[text : text + 1, :length], own)
        for state, part in zip(states, own, strict=True):
            state[:, text : text + 1] = part
        alone.append(read(decoder, ids[text : text + 1, length : length + 4], own)[0])
        assert logits.shape == (1, length, VOCAB)
    together = np.stack([ids[0, 3:7], ids[1, 26:30]])
    np.testing.assert_array_equal(read(decoder, together, states), np.stack(alone))


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("make", ["gpt2", "llama"])
def test_the_same_bits_on_any_number_of_threads(make, int8, run_python):
    """Threads beyond the cores are let in by a variable that is read once, so in new processes."""
    program = (
        "import hashlib, numpy as np\n"
        f"from test_models_decoding_transformer import {make}, ids_of, pack, zero_states\n"
        "wide = {'hidden_size': 300, 'intermediate_size': 600}\n"
        "sizes = {'gpt2': {'n_embd': 360}, 'llama': wide}\n"
        f"decoder = pack({make}(**sizes[{make!r}]), {int8})\n"
        "assert decoder.work > 2 * 2**19  # worth three threads\n"
        "ids, states = ids_of(2, 60), zero_states(decoder, 2)\n"
        "logits = decoder.read(ids[:, :40].copy(), states)\n"
        "decoder.write(ids, states, 41, 60, seed=1)\n"
        "data = [array.tobytes() for array in (ids, logits, *states)]\n"
        "print(hashlib.sha256(b''.join(data)).hexdigest())\n"
    )
    digests = {
        run_python("-c", program, MINILM_NUM_THREADS=threads, MINILM_OVERSUBSCRIBE="1")
        for threads in "123"
    }
    assert len(digests) == 1


# --- writing --------------------------------------------------------------------------------------


def slow_write(model: Any, ids: np.ndarray, count: int, **draw: Any) -> list[list[int]]:
    """Write through `forward` and its cache, drawing from the logits of each step."""
    rows, cache, new = ids.tolist(), None, ids
    with minilm.no_grad():
        for offset in range(count):
            output = model(new, past_key_values=cache, use_cache=True)
            cache, logits = output.past_key_values, output.logits.numpy()[:, -1]
            drawn = [
                _core.sample(
                    np.ascontiguousarray(row),
                    draw.get("temperature", 1.0),
                    draw.get("top_k", 0),
                    draw.get("top_p", 1.0),
                    draw["seed"] + text,
                    offset,
                )
                for text, row in enumerate(logits)
            ]
            rows = [[*row, token] for row, token in zip(rows, drawn, strict=True)]
            new = np.array(drawn)[:, None]
    return rows


@kernels
@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": 0.8},
        {"top_k": 5},
        {"top_p": 0.7, "temperature": 1.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [1, 9, SHORT_PROMPT + 6])
@pytest.mark.parametrize("make", [gpt2, llama])
def test_a_seed_writes_what_forward_and_its_cache_write(make, length, options):
    model, prompt = make(), ids_of(2, length)
    expected = slow_write(model, prompt, 20, seed=3, **options)
    assert generate(model, prompt, 20, seed=3, **options).tolist() == expected


@pytest.fixture
def in_core(monkeypatch):
    """Count the calls that the core writes."""
    module = importlib.import_module("minilm.generation.generate")
    calls, write = [], module.write_in_core
    monkeypatch.setattr(module, "write_in_core", lambda *a: calls.append(1) or write(*a))
    return calls


def test_generate_takes_this_path(model, in_core):
    generate(model, ids_of(1, 3), 17)
    assert in_core
    assert model._decoder() is model._decoder()  # kept from call to call


def test_at_the_end_of_the_context_it_sees_the_last_of_the_text(in_core):
    model, prompt = gpt2(n_positions=12), ids_of(1, 5)
    to_the_end = generate(model, prompt, 8, seed=0).tolist()[0]  # the 13th is not read
    assert in_core == [1]
    beyond = generate(model, prompt, 15, seed=0).tolist()[0]
    assert in_core == [1]
    assert beyond[:13] == to_the_end
    for place in range(13, 20):
        logits = logits_of(model, np.array([beyond[place - 12 : place]]))[0, -1].copy()
        assert beyond[place] == _core.sample(logits, 1.0, 0, 1.0, 0, place - 5)


def test_texts_that_end_and_ids_that_are_never_written():
    model, prompt = gpt2(), ids_of(3, 4)
    free = generate(model, prompt, 12, seed=0).numpy()
    place = next(place for place in range(6, 16) if free[1, place] not in free[1, 4:place])
    end = int(free[1, place])
    ended = generate(model, prompt, 12, seed=0, eos_token_id=end).numpy()
    np.testing.assert_array_equal(ended[1, : place + 1], free[1, : place + 1])
    assert ended.shape[1] > place + 1 and (ended[1, place:] == end).all()
    others = generate(model, prompt, 12, seed=0, suppress_tokens=[end]).numpy()
    assert end not in others[:, 4:]


def test_written_piece_by_piece_it_is_the_same():
    model, prompt = llama(), ids_of(2, 4)
    columns: list[np.ndarray] = []
    at_once = generate(model, prompt, 15, seed=5).numpy()
    generate(model, prompt, 15, seed=5, on_token=columns.append)
    np.testing.assert_array_equal(np.stack(columns, axis=1), at_once[:, 4:])


@pytest.mark.parametrize("make", [gpt2, llama])
def test_a_changed_weight_is_never_written_with_as_it_was(make):
    model = make()
    before = decoder_of(model)
    model.get_input_embeddings().weight.detach().numpy()[3] *= 2
    after = decoder_of(model)
    assert after is not before
    close(read(after, ids_of(1, 9)), logits_of(model, ids_of(1, 9)))


# --- models that are not what their class makes ---------------------------------------------------


class Louder(GPT2LMHeadModel):
    """A model with a forward of its own."""

    def forward(self, *args: Any, **options: Any) -> Any:
        output = super().forward(*args, **options)
        output.logits = output.logits * -1
        return output


def louder() -> GPT2LMHeadModel:
    model = Louder(gpt2().config)
    model.load_state_dict(gpt2().state_dict())
    return model.eval()


def with_other_norm() -> LlamaForCausalLM:
    model = llama()
    model.model.layers[1].post_attention_layernorm = nn.LayerNorm(42)
    return model


def with_other_mlp() -> GPT2LMHeadModel:
    model = gpt2()
    model.transformer.h[0].mlp.c_fc = nn.Linear(60, 240)
    return model


@pytest.mark.parametrize("make", [louder, with_other_norm, with_other_mlp])
def test_parts_of_ones_own_are_not_passed_over(make):
    model, prompt = make(), ids_of(1, 4)
    assert model._decoder() is None
    expected = slow_write(model, prompt, 5, seed=0, temperature=0.0)
    assert generate(model, prompt, 5, do_sample=False).tolist() == expected
    with pytest.raises(TypeError, match=r"quantize\(\).*others, or a forward of its own"):
        model.quantize()


# --- what is refused ------------------------------------------------------------------------------


def test_more_tokens_than_there_is_room_for():
    decoder = pack(gpt2())
    states = zero_states(decoder, 1, 10)
    ids = ids_of(1, 60)
    with pytest.raises(ValueError, match=r"11 tokens after 0.*70 positions, the states.*for 10"):
        decoder.read(np.ascontiguousarray(ids[:, :11]), states)
    decoder.read(np.ascontiguousarray(ids[:, :4]), states)
    before = ids.copy()
    with pytest.raises(ValueError, match=r"text 0: 55 tokens after 4"):
        decoder.write(ids, states, 5, 60)
    np.testing.assert_array_equal(ids, before)  # refused before writing begins
    with pytest.raises(ValueError, match="71 tokens after 0"):
        decoder.read(ids_of(1, 71), zero_states(decoder, 1, 100))


def test_states_that_do_not_fit():
    decoder = pack(llama())
    keys, values, lengths = zero_states(decoder, 1, 8)
    assert keys.shape == (2, 1, 2, 8, 20)
    ids = ids_of(1, 2)
    with pytest.raises(TypeError, match="states: expected a tuple of 3"):
        decoder.read(ids, (keys, values))
    with pytest.raises(ValueError, match=r"values: expected shape \(2, 1, 2, 8, 20\)"):
        decoder.read(ids, (keys, values[:, :, :, :7].copy(), lengths))
    with pytest.raises(TypeError, match=r"lengths: expected int64 \(1, batch=1\)"):
        decoder.read(ids, (keys, values, np.zeros(1, np.int64)))
    with pytest.raises(ValueError, match=r"lengths\[0\]: expected 0 to 8, got 9"):
        decoder.read(ids, (keys, values, np.array([[9]])))
    with pytest.raises(IndexError, match=r"ids\[0, 1\]: expected 0 to 36"):
        decoder.read(np.array([[1, 37]]), (keys, values, lengths))
    with pytest.raises(ValueError, match="batch: expected at least 0"):
        decoder.states(-1)


def a_decoder(**changes: Any) -> _core.Decoder:
    """A transformer of width 4 with one block; its weights are 1."""

    def ones(*shape: int) -> np.ndarray:
        return np.ones(shape, np.float32)

    block = {
        "norm_1": ones(4),
        "norm_1_bias": None,
        "qkv": ones(12, 4),
        "qkv_bias": None,
        "out": ones(4, 4),
        "out_bias": None,
        "norm_2": ones(4),
        "norm_2_bias": None,
        "inner": ones(6, 4),
        "inner_bias": None,
        "down": ones(4, 6),
        "down_bias": None,
        "scale": 1.0,
    }
    block |= {name: value for name, value in changes.items() if name in block}
    arguments: dict[str, Any] = {
        "embedding": ones(5, 4),
        "blocks": (tuple(block.values()),),
        "norm": (ones(4), None),
        "head": None,
        "positions": 9,
        "heads": 2,
        "kv_heads": 2,
        "head_size": 2,
        "inner": 6,
        "gated": False,
        "activation": _core.ACTIVATIONS["relu"],
        "rms": False,
        "eps": 1e-5,
    }
    rest = {name: value for name, value in changes.items() if name not in block}
    return _core.Decoder.transformer(**(arguments | rest))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"qkv": np.ones((11, 4), np.float32)}, ValueError, r"qkv: expected shape \(12, 4\)"),
        ({"down_bias": np.ones(6, np.float32)}, ValueError, r"down_bias: expected shape \(4,\)"),
        ({"norm_1": None}, TypeError, "norm_1"),
        ({"out": np.ones((4, 4))}, TypeError, "out.*float64"),
        ({"scale": "large"}, TypeError, "real number"),
        ({"gated": True}, ValueError, r"inner: expected shape \(12, 4\), got \(6, 4\)"),
        ({"kv_heads": 0}, ValueError, "at least 1, got 0"),
        ({"heads": -1}, OverflowError, "negative"),
        ({"head": np.ones((6, 4), np.float32)}, ValueError, r"head: expected shape \(5, 4\)"),
        ({"activation": 99}, ValueError, "activation: expected 0 to 5, got 99"),
        ({"blocks": ((1, 2),)}, TypeError, "blocks: expected tuples of 13"),
        ({"blocks": ()}, ValueError, "0 blocks"),
        (
            {"position_embedding": np.ones((8, 4), np.float32)},
            ValueError,
            r"position_embedding: expected shape \(9, 4\)",
        ),
    ],
)
def test_weights_that_do_not_fit(changes, error, message):
    assert a_decoder().work == 12 * 4 + 4 * 4 + 2 * 6 * 4 + 5 * 4
    with pytest.raises(error, match=message):
        a_decoder(**changes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_has_diverged(value):
    model = gpt2()
    model.transformer.h[1].mlp.c_fc.bias.detach().numpy()[2] = value
    with pytest.raises(ValueError, match="has training diverged"):
        generate(model, [1], 3)
    with pytest.raises(ValueError, match="has training diverged"):
        generate(model.quantize(), [1], 3)


def test_control_c_is_heard_and_leaves_the_states(run_python):
    program = (
        "import signal, threading, numpy as np\n"
        "from test_models_decoding_transformer import gpt2, pack, zero_states\n"
        "decoder = pack(gpt2(n_positions=10**6))\n"
        "states = zero_states(decoder, 1, 10**6)\n"
        "ids = np.zeros((1, 10**6), np.int64)\n"
        "main = threading.get_ident()\n"
        "threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()\n"
        "try:\n"
        "    decoder.write(ids, states, 1, 10**6)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard', 0 < states[2][0, 0] < 10**6 - 1)\n"
    )
    assert run_python("-c", program) == "heard True\n"
