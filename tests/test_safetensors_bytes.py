import json

import numpy as np
from safetensors.numpy import load, save

from minilm.safetensors_bytes import to_safetensors

ARRAYS = {"b": np.ones((2, 3), np.float32), "a": np.arange(5), "é": np.zeros((), np.float32)}


def test_a_file_is_the_same_in_every_process(run_python):
    program = (
        "import hashlib, minilm\n"
        "from minilm.models.weights import weight_bytes\n"
        "minilm.manual_seed(0)\n"
        "model = minilm.RNNModel(5, 8, 8, tie_weights=True)\n"
        "print(hashlib.sha256(weight_bytes(model)).hexdigest())\n"
    )
    assert len({run_python("-c", program) for _ in range(6)}) == 1


def test_it_is_the_file_that_safetensors_writes_but_for_the_order_of_names():
    metadata = {"z": "1", "format": "pt", "ü": '"quoted"'}
    ours, theirs = to_safetensors(ARRAYS, metadata), save(ARRAYS, metadata)
    for name, array in load(ours).items():
        np.testing.assert_array_equal(array, ARRAYS[name])
    start = 8 + int.from_bytes(ours[:8], "little")
    assert start % 8 == 0
    assert ours[start:] == theirs[8 + int.from_bytes(theirs[:8], "little") :]
    header = json.loads(ours[8:start])
    assert header == json.loads(theirs[8 : len(theirs) - len(ours) + start])
    assert list(header["__metadata__"]) == ["format", "z", "ü"]


def test_without_arrays():
    assert load(to_safetensors({}, {"format": "pt"})) == {}
