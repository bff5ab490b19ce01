"""What is compared when a GPT-2 writes: minilm, transformers, CTranslate2, of equal weights."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minilm
from minilm.models import GPT2Config, GPT2LMHeadModel

SIZES: dict[str, dict[str, Any]] = {
    "gpt_char6x384": {
        "vocab_size": 65,
        "n_positions": 256,
        "n_embd": 384,
        "n_layer": 6,
        "n_head": 6,
    },
    "gpt2": {},  # the 124M model
}
PROMPT = np.arange(1, 9)[None]  # (1, 8)

Write = Callable[[int], object]


def make_transformer(name: str) -> GPT2LMHeadModel:
    """Return a GPT-2 of random weights, whose texts have no end."""
    minilm.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(**SIZES[name], bos_token_id=None, eos_token_id=None)).eval()


def transformer_contenders(
    model: GPT2LMHeadModel, threads: int, alone: bool = False
) -> dict[str, Write]:
    """Return a function for each library that is installed; `alone`: for minilm only."""
    found = {"minilm": minilm_writer(model), "int8": minilm_writer(model.quantize())}
    if alone or not importlib.util.find_spec("transformers"):
        return found
    theirs = same_model(model, threads)
    found["hf"] = transformers_writer(theirs)
    if importlib.util.find_spec("ctranslate2"):
        for name, kind in (("ct2", "float32"), ("ct2 int8", "int8")):
            found[name] = ctranslate2_writer(theirs, threads, kind)
    return found


def minilm_writer(model: Any) -> Write:
    """Return what a user of minilm calls."""
    return lambda count: model.generate(PROMPT, max_new_tokens=count, seed=0)


def same_model(model: GPT2LMHeadModel, threads: int) -> Any:
    """Return the model of transformers with the same weights."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        theirs = transformers.GPT2LMHeadModel.from_pretrained(folder)
    return theirs.eval()


def transformers_writer(theirs: Any) -> Write:
    """Return what a user of transformers calls."""
    import torch

    prompt = torch.from_numpy(PROMPT)
    options = {"do_sample": True, "top_k": 0, "pad_token_id": 0, "eos_token_id": None}

    def write(count: int) -> None:
        theirs.generate(prompt, max_new_tokens=count, min_new_tokens=count, **options)

    return write


def ctranslate2_writer(theirs: Any, threads: int, kind: str) -> Write:
    """Return what a user of CTranslate2 calls; tokens are named by their ids."""
    import ctranslate2

    with tempfile.TemporaryDirectory() as folder:
        convert(theirs, Path(folder), kind)
        generator = ctranslate2.Generator(
            folder, device="cpu", compute_type=kind, inter_threads=1, intra_threads=threads
        )
    prompt = [[str(token) for token in PROMPT[0]]]

    def write(count: int) -> None:
        generator.generate_batch(
            prompt,
            max_length=count,
            min_length=count,
            sampling_topk=0,
            include_prompt_in_result=False,
        )

    return write


def convert(theirs: Any, folder: Path, kind: str) -> None:
    """Write the model as CTranslate2 has it."""
    from ctranslate2.specs import Activation, TransformerDecoderModelSpec

    config, state = theirs.config, theirs.state_dict()
    spec = TransformerDecoderModelSpec.from_config(
        config.n_layer, config.n_head, pre_norm=True, activation=Activation.GELUTanh
    )

    def array(name: str) -> np.ndarray:
        weight: np.ndarray = state[f"transformer.{name}"].numpy()
        return np.ascontiguousarray(weight.T) if ".c_" in name and weight.ndim == 2 else weight

    def set_norm(target: Any, name: str) -> None:
        target.gamma, target.beta = array(f"{name}.weight"), array(f"{name}.bias")

    def set_linear(target: Any, name: str) -> None:
        target.weight, target.bias = array(f"{name}.weight"), array(f"{name}.bias")

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = array("wte.weight")
    decoder.position_encodings.encodings = array("wpe.weight")
    set_norm(decoder.layer_norm, "ln_f")
    decoder.projection.weight = array("wte.weight")
    for layer, target in enumerate(decoder.layer):
        block = f"h.{layer}"
        set_norm(target.self_attention.layer_norm, f"{block}.ln_1")
        set_linear(target.self_attention.linear[0], f"{block}.attn.c_attn")
        set_linear(target.self_attention.linear[1], f"{block}.attn.c_proj")
        set_norm(target.ffn.layer_norm, f"{block}.ln_2")
        set_linear(target.ffn.linear_0, f"{block}.mlp.c_fc")
        set_linear(target.ffn.linear_1, f"{block}.mlp.c_proj")
    # Names of special tokens that the model never writes on from.
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"
    spec.register_vocabulary([str(token) for token in range(config.vocab_size)])
    spec.validate()
    spec.optimize(quantization=kind)
    spec.save(str(folder))


def readers_of_prompts(model: GPT2LMHeadModel, threads: int, length: int) -> dict[str, Write]:
    """Return functions that read a prompt, so many times, and write one token."""
    prompt = np.random.default_rng(0).integers(0, model.config.vocab_size, (1, length))

    def ours(count: int) -> None:
        for _ in range(count):
            model.generate(prompt, max_new_tokens=1, seed=0)

    found: dict[str, Write] = {"minilm": ours}
    if importlib.util.find_spec("transformers"):
        import torch

        theirs, ids = same_model(model, threads), torch.from_numpy(prompt)

        @torch.no_grad()
        def forward(count: int) -> None:
            for _ in range(count):
                theirs(ids)

        found["hf"] = forward
    return found
