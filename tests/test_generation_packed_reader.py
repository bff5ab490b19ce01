"""A quantized transformer reads each token once, and writes what reading all again writes."""

import numpy as np
import pytest
from generation_helpers import MODELS

from minilm.generation import generate
from minilm.generation.generate import reading
from minilm.generation.prompt import prompt_of
from minilm.generation.readers import HistoryReader, PackedReader

IDS = np.array([[0, 0, 3, 5, 2], [1, 4, 2, 6, 6], [0, 5, 5, 1, 3]])
MASK = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])
POSITIONS = 40

OPTIONS = {
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "drawn beams": {"num_beams": 3, "do_sample": True, "temperature": 1.5},
    "rules": {"repetition_penalty": 1.3, "do_sample": False},
    "processors": {"logits_processor": [lambda ids, scores: scores * np.float32(1 + ids[:, -1:])]},
    "several": {"num_return_sequences": 3, "min_p": 0.05},
    "scores": {"return_dict_in_generate": True, "output_scores": True},
    "several ends": {"eos_token_id": [1, 5], "pad_token_id": 0, "num_return_sequences": 2},
}


class Counting:
    """A decoder that counts the positions it reads."""

    def __init__(self, decoder):
        self._decoder = decoder
        self.positions = 0

    def read(self, ids, states, logits=True):
        self.positions += ids.size
        return self._decoder.read(ids, states, logits)

    def __getattr__(self, name):
        return getattr(self._decoder, name)


def counting(name):
    model = MODELS[name]()
    model._packed = Counting(model._packed)
    return model


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["gpt2 int8", "llama int8"])
def test_tokens_are_those_of_reading_everything_again(name, options):
    """Bit by bit the same logits, so the same tokens: past the last position, too."""
    for length in (12, POSITIONS + 6):
        found = []
        for use_cache in (True, False):
            model = MODELS[name]()
            settings = {"attention_mask": MASK, "seed": 3, "use_cache": use_cache}
            out = generate(model, IDS, length, **settings, **OPTIONS[options])
            found.append(getattr(out, "sequences", out).numpy())
            scores = getattr(out, "scores", None) or ()
            found[-1] = [found[-1], *(step.numpy() for step in scores)]
        for ours, again in zip(*found, strict=True):
            np.testing.assert_array_equal(ours, again)


@pytest.mark.parametrize(
    ("options", "rows"),
    [({"num_beams": 4}, 4), ({"min_p": 0.05, "num_return_sequences": 2}, 2)],
)
def test_each_position_is_read_once(options, rows):
    model, new = counting("gpt2 int8"), 20
    generate(model, [1, 4, 2, 6, 6], new, seed=1, **options)
    # The prompt for each text (once for all beams of it), then each new token but the last.
    assert 5 + rows * (new - 1) <= model._packed.positions <= rows * (5 + new - 1)
    again = counting("gpt2 int8")
    generate(again, [1, 4, 2, 6, 6], new, seed=1, use_cache=False, **options)
    assert again._packed.positions > 4 * model._packed.positions


def test_behind_the_last_position_all_is_read_again():
    model = counting("gpt2 int8")
    with reading(model):
        reader = PackedReader(model, model._packed)
        reader.start(prompt_of(np.ones((1, POSITIONS - 2), int)))
        assert model._packed.positions == POSITIONS - 2
        for read in (1, 1, POSITIONS, POSITIONS):
            before = model._packed.positions
            reader.step(np.array([3]))
            assert model._packed.positions - before == read


@pytest.mark.parametrize("name", ["gpt2 int8", "llama int8"])
def test_rows_are_picked_and_go_on(name):
    model = MODELS[name]()
    with reading(model):
        ours, slow = PackedReader(model, model._decoder()), HistoryReader(model)
        prompt = prompt_of(IDS, MASK)
        np.testing.assert_array_equal(ours.start(prompt), slow.start(prompt))
        states = ours._states
        ours.reorder(np.array([0, 1, 2]))
        assert ours._states is states  # as they were: nothing to do
        for step in range(45):
            rows = np.random.default_rng(step).integers(0, 3, 3)
            for reader in (ours, slow):
                reader.reorder(rows)
            tokens = (rows + step) % 7
            np.testing.assert_array_equal(ours.step(tokens), slow.step(tokens))


def test_memory_is_that_of_what_was_read():
    model = MODELS["gpt2 int8"]()
    with reading(model):
        reader = PackedReader(model, model._decoder())
        reader.start(prompt_of([[1, 2, 3]]))
        capacities = []
        for length in range(4, POSITIONS + 1):
            reader.step(np.array([1]))
            capacities.append(reader._states[0].shape[3])
            assert capacities[-1] <= min(2 * length, POSITIONS)
    assert len(set(capacities)) <= 5  # it doubles
