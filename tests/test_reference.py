"""The slow twins are right: they give PyTorch's stored answers, and finite differences agree."""

from __future__ import annotations

import numpy as np
import pytest
from reference import stored
from reference.case import Case, run_twin
from reference.cases import CASES
from reference.check import assert_close
from reference.named import MODULES
from reference.seeded import digest, uniform
from reference.slow import TWINS, optimizers
from reference.slow.ngram import NGram
from reference.slow.philox import philox4x32
from reference.trajectories import (
    CLIP_VALUE,
    CLIPS,
    OPTIMIZERS,
    flat,
    gradients,
    optimize_slowly,
)

# what is wide is too slow here, and not otherwise different
SMALL = [case for case in CASES if "-wide" not in case.name]
# The candidate of a minGRU has another slope from 0 on. Of the 19,000 in this case one lies within
# the usual step of 0, and a difference across that place is no derivative.
SHORT_STEP = {"mingru-127": 1e-7}
DIRECTIONS = 12  # in each array: all of them where it has no more elements


@pytest.mark.parametrize("case", CASES, ids=str)
def test_twin_gives_pytorch_results(case):
    results, expected = run_twin(case), stored.load_case(case)
    assert results.keys() == expected.keys()
    for name, value in results.items():
        assert_close(digest(value), expected[name], 1e-9, f"{case.name} {name}")


@pytest.mark.parametrize("case", [case for case in CASES if case.name in MODULES], ids=str)
def test_twin_names_parameters_as_pytorch(case):
    named = [(name, list(shape)) for name, shape in case.params.items()]
    assert named == list(stored.state_dicts()[case.name].items())


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_twin_gradients_agree_with_finite_differences(case):
    inputs, params = case.make_inputs(), case.make_params()
    results = run_twin(case)
    arrays = params | {
        name: value
        for name, value, needed in zip(case.inputs, inputs, case.needs_grad(), strict=True)
        if needed
    }
    for name, value in arrays.items():
        along = directions(case, name, value.shape)
        slopes = [slope(case, inputs, params, name, direction) for direction in along]
        expected = [(results[f"grad_{name}"] * direction).sum() for direction in along]
        assert_close(np.array(slopes), np.array(expected), 1e-6, f"{case.name} {name}")


def directions(case: Case, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Each element by itself where an array is small, else random directions, (n, *shape)."""
    size = int(np.prod(shape))
    if size <= DIRECTIONS:
        return np.eye(size).reshape(size, *shape)
    along = uniform(f"directions/{name}", (DIRECTIONS, *shape))
    if name == "weight" and "padding_idx" in case.config:
        along[:, case.config["padding_idx"]] = 0.0  # this row matters, yet does not learn
    return along


def slope(case: Case, inputs: tuple, params: dict, name: str, direction: np.ndarray) -> float:
    """Central difference of the loss along a direction of one array."""
    arrays = dict(zip(case.inputs, inputs, strict=True)) | params
    step = SHORT_STEP.get(case.name, 1e-5)
    step *= min(1.0, np.abs(arrays[name]).max())  # never over the kink of relu at 0

    def loss(sign: float) -> float:
        moved = arrays | {name: arrays[name] + sign * step * direction}
        outputs = case.run(
            case.twin(), [moved[key] for key in case.inputs], {key: moved[key] for key in params}
        )
        grads = case.make_grads(outputs)
        return sum(float((out * grad).sum()) for out, grad in zip(outputs, grads, strict=True))

    return (loss(1.0) - loss(-1.0)) / (2.0 * step)


@pytest.mark.parametrize("run", OPTIMIZERS, ids=str)
def test_slow_optimizer_gives_pytorch_results(run):
    expected = stored.load("optimizers")[run.name]
    assert_close(optimize_slowly(run), expected, 1e-12, run.name)


@pytest.mark.parametrize(("max_norm", "norm_type"), CLIPS)
def test_slow_clipping_gives_pytorch_results(max_norm, norm_type):
    grads = gradients(1)
    norm = optimizers.grad_norm(grads, norm_type)
    clipped = flat(optimizers.clip_grad_norm(grads, max_norm, norm_type))
    expected = stored.load("clipping")[f"{max_norm}/{norm_type}"]
    assert_close(np.append(norm, clipped), expected, 1e-12, "clip_grad_norm_")


def test_slow_clipping_by_value_gives_pytorch_results():
    clipped = flat(optimizers.clip_grad_value(gradients(1), CLIP_VALUE))
    assert_close(clipped, stored.load("clipping")["value"], 1e-12, "clip_grad_value_")


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (
            [0xFFFFFFFF] * 4,
            (0xFFFFFFFF, 0xFFFFFFFF),
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_slow_philox_gives_its_authors_known_answers(counter, key, expected):
    assert philox4x32(np.array(counter), key).tolist() == expected


def test_slow_ngram_counts_by_hand():
    model = NGram(order=2, vocab_size=4)
    model.fit([0, 1, 0, 2])
    unigram = [(2 + 3 / 4) / 7, (1 + 3 / 4) / 7, (1 + 3 / 4) / 7, (3 / 4) / 7]
    assert [model.probability([], w) for w in range(4)] == pytest.approx(unigram)
    # after 0 came 1 and 2, once each
    bigram = [(seen + 2 * p) / 4 for seen, p in zip([0, 1, 1, 0], unigram, strict=True)]
    assert [model.probability([3, 0], w) for w in range(4)] == pytest.approx(bigram)
    assert [model.probability([3], w) for w in range(4)] == pytest.approx(unigram)


def test_slow_ngram_on_shakespeare(shakespeare):
    alphabet = {c: i for i, c in enumerate(sorted(set(shakespeare)))}
    ids = [alphabet[c] for c in shakespeare]
    cut = int(0.9 * len(ids))
    model = NGram(order=3, vocab_size=len(alphabet))
    model.fit(ids[:cut])
    assert -np.mean(model.log_prob(ids[cut:])) == pytest.approx(2.0492, abs=5e-5)


def test_every_layer_kind_has_a_twin_and_cases(core):
    assert set(core.LAYERS) == set(TWINS) == {case.kind for case in CASES}
