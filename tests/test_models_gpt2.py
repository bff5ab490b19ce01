import copy
import math
import tracemalloc

import numpy as np
import pytest

import minilm
from minilm import nn, optim
from minilm.models import DynamicCache, GPT2Config, GPT2LMHeadModel, GPT2Model

IDS = np.array([[1, 4, 2, 0, 3, 6, 5], [3, 3, 1, 2, 4, 0, 6]])


def tiny(**settings) -> GPT2LMHeadModel:
    """A model whose weights are large enough that everything matters."""
    minilm.manual_seed(0)
    sizes = {"vocab_size": 7, "n_positions": 12, "n_embd": 12, "n_layer": 2, "n_head": 3}
    config = GPT2Config(**(sizes | {"initializer_range": 0.3, "eos_token_id": 6} | settings))
    return GPT2LMHeadModel(config).eval()


def logits(model, ids, **options) -> np.ndarray:
    return model(ids, **options).logits.detach().numpy()


def close(a, b) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_weights_have_hugging_faces_names():
    names = list(tiny().state_dict())
    block = [
        "ln_1.weight",
        "ln_1.bias",
        "attn.c_attn.weight",
        "attn.c_attn.bias",
        "attn.c_proj.weight",
        "attn.c_proj.bias",
        "ln_2.weight",
        "ln_2.bias",
        "mlp.c_fc.weight",
        "mlp.c_fc.bias",
        "mlp.c_proj.weight",
        "mlp.c_proj.bias",
    ]
    blocks = [f"transformer.h.{i}.{name}" for i in range(2) for name in block]
    outside = ["transformer.wte.weight", "transformer.wpe.weight"]
    assert names == [
        *outside,
        *blocks,
        "transformer.ln_f.weight",
        "transformer.ln_f.bias",
        "lm_head.weight",
    ]
    assert tiny().state_dict()["transformer.h.0.attn.c_attn.weight"].shape == (12, 36)


def test_gpt2_has_124_million_parameters():
    from minilm.nn import init

    with init.skipped():  # sizes alone are of interest
        model = GPT2LMHeadModel(GPT2Config())
    assert model.num_parameters() == 124_439_808


def test_the_head_is_the_table():
    model = tiny()
    assert model.lm_head.weight is model.transformer.wte.weight
    assert copy.deepcopy(model).lm_head.weight is not model.lm_head.weight
    again = copy.deepcopy(model)
    assert again.lm_head.weight is again.transformer.wte.weight
    untied = tiny(tie_word_embeddings=False)
    assert untied.lm_head.weight is not untied.transformer.wte.weight


def test_weights_start_as_in_the_paper():
    config = GPT2Config(vocab_size=500, n_positions=64, n_embd=120, n_layer=8, n_head=4)
    state = GPT2LMHeadModel(config).state_dict()
    stds = {name: tensor.std().item() for name, tensor in state.items() if tensor.dim() == 2}
    for name, std in stds.items():
        wanted = 0.02 / math.sqrt(16) if name.endswith("c_proj.weight") else 0.02
        assert std == pytest.approx(wanted, rel=0.05), name
    assert not state["transformer.h.3.attn.c_attn.bias"].numpy().any()
    assert (state["transformer.ln_f.weight"].numpy() == 1).all()


def test_the_same_seed_gives_the_same_weights():
    for a, b in zip(tiny().parameters(), tiny().parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_no_position_sees_a_later_one():
    model, changed = tiny(), IDS.copy()
    changed[:, 4:] = 0
    close(logits(model, IDS)[:, :4], logits(model, changed)[:, :4])
    assert not np.allclose(logits(model, IDS)[:, 4:], logits(model, changed)[:, 4:], atol=1e-3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("use_cache", [True, False])
def test_padding_changes_nothing(side, use_cache):
    model, short = tiny(), IDS[1:, :4]
    ids, mask = IDS.copy(), np.ones_like(IDS)
    where = slice(0, 4) if side == "right" else slice(3, 7)
    ids[1], mask[1] = 5, 0
    ids[1, where], mask[1, where] = short, 1
    found = logits(model, ids, attention_mask=mask, use_cache=use_cache)
    close(found[0], logits(model, IDS[:1])[0])
    close(found[1, where], logits(model, short)[0])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("mask", [None, np.array([[0, 0, 1, 1, 1, 1, 1], [1] * 7])])
@pytest.mark.parametrize("cuts", [(3,), (1, 2, 6)])
def test_reading_in_parts_with_a_cache_is_reading_at_once(mask, cuts):
    model, cache, parts = tiny(), None, []
    for begin, end in zip((0, *cuts), (*cuts, 7), strict=True):
        seen = None if mask is None else mask[:, :end]
        output = model(IDS[:, begin:end], seen, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        parts.append(output.logits.detach().numpy())
    assert cache.get_seq_length() == 7
    counted = slice(None) if mask is None else mask.astype(bool)
    at_once = logits(model, IDS, attention_mask=mask, use_cache=False)
    close(np.concatenate(parts, axis=1)[counted], at_once[counted])


def test_when_a_cache_is_returned():
    model = tiny()
    assert model(IDS).past_key_values.get_seq_length() == 7
    assert model(IDS, use_cache=False).past_key_values is None
    assert tiny(use_cache=False)(IDS).past_key_values is None
    assert model.train()(IDS).past_key_values is None
    mine = DynamicCache()
    assert model(IDS, past_key_values=mine).past_key_values is mine
    assert mine.get_seq_length() == 7


@pytest.mark.parametrize("use_cache", [True, False])
def test_attentions_and_hidden_states(use_cache):
    model = tiny()
    asked = {"output_attentions": True, "output_hidden_states": True, "use_cache": use_cache}
    output = model(IDS, **asked)
    assert [w.shape for w in output.attentions] == [(2, 3, 7, 7)] * 2
    for weights in output.attentions:
        close(weights.detach().numpy().sum(-1), 1.0)
        assert not np.triu(weights.detach().numpy(), 1).any()
    assert [x.shape for x in output.hidden_states] == [(2, 7, 12)] * 3
    head = output.hidden_states[-1].detach().numpy() @ model.lm_head.weight.detach().numpy().T
    close(output.logits.detach().numpy(), head)
    plain = model(IDS)
    assert plain.attentions is None and plain.hidden_states is None


def test_attentions_of_what_is_read_on():
    model = tiny()
    cache = model(IDS[:, :5]).past_key_values
    output = model(IDS[:, 5:], past_key_values=cache, output_attentions=True)
    whole = model(IDS, output_attentions=True)
    assert output.attentions[0].shape == (2, 3, 2, 7)
    for part, all_of_it in zip(output.attentions, whole.attentions, strict=True):
        close(part.detach().numpy(), all_of_it.detach().numpy()[:, :, 5:])


def test_the_configuration_may_ask_for_them():
    output = tiny(output_attentions=True, output_hidden_states=True)(IDS)
    assert len(output.attentions) == 2 and len(output.hidden_states) == 3


def test_positions_can_be_given():
    model, positions = tiny(), np.arange(7)[None] + 3
    assert not np.allclose(logits(model, IDS), logits(model, IDS, position_ids=positions))
    close(logits(model, IDS), logits(model, IDS, position_ids=np.arange(7)[None]))


def test_dropout_acts_in_training_only():
    model = tiny()
    np.testing.assert_array_equal(logits(model, IDS), logits(model, IDS))
    model.train()
    assert not np.array_equal(logits(model, IDS), logits(model, IDS))


def test_without_dropout_training_computes_the_same():
    model = tiny(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    close(logits(model, IDS), logits(model.train(), IDS))


def test_the_loss_is_that_of_shifted_logits():
    model = tiny()
    output = model(IDS, labels=IDS)
    expected = nn.functional.cross_entropy(output.logits[:, :-1].transpose(1, 2), IDS[:, 1:])
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert output[0] is output.loss and output[1] is output.logits


def test_head_and_loss_are_one_where_logits_are_large():
    model = tiny(vocab_size=40_000, n_embd=3, n_head=1)
    ids = np.tile(IDS, (1, 1))
    output = model(ids, labels=ids)
    assert output.logits._deferred is not None, "the loss had to compute the logits"
    output.loss.backward()
    assert output.logits._deferred is not None
    fused = model.lm_head.weight.grad.numpy().copy()
    model.zero_grad()
    read = model(ids)
    _ = read.logits.detach().numpy()
    nn.functional.cross_entropy(read.logits[:, :-1].transpose(1, 2), ids[:, 1:]).backward()
    close(fused, model.lm_head.weight.grad.numpy())


def test_it_learns_a_text_by_heart():
    model = tiny(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0).train()
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        loss = model(IDS, labels=IDS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.5 and losses[-1] < 0.5
    assert model.lm_head.weight is model.transformer.wte.weight
    written = model.eval().generate([[1]], max_new_tokens=6, do_sample=False)
    assert written.tolist() == IDS[:1, :6].tolist()  # 6 ends a text


def test_gradients_do_not_depend_on_threads():
    found = []
    for threads in (1, 2, 3):
        minilm.set_num_threads(threads)
        model = tiny(n_embd=96, vocab_size=700).train()
        minilm.manual_seed(1)
        model(IDS, labels=IDS).loss.backward()
        found.append([p.grad.numpy().copy() for p in model.parameters()])
    minilm.set_num_threads(2)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_model_without_a_head():
    model = tiny().transformer
    assert isinstance(model, GPT2Model)
    output = model(IDS)
    assert output.last_hidden_state.shape == (2, 7, 12)
    assert output[0] is output.last_hidden_state


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[7]],), IndexError, "id 7 at .* outside 0 to 6"),
        (([[0] * 13],), ValueError, "has 13 tokens, but the model has 12 positions"),
        ((IDS, None, IDS[:, :3]), ValueError, "labels have shape"),
        ((IDS, np.ones((2, 3))), ValueError, "attention_mask has shape"),
    ],
)
def test_wrong_arguments_say_so(arguments, error, message):
    with pytest.raises(error, match=message):
        tiny()(*arguments)


def test_a_cache_of_another_batch_is_refused():
    model = tiny()
    cache = model(IDS).past_key_values
    with pytest.raises(ValueError, match="of 2 texts, input_ids of 1"):
        model(IDS[:1, :1], past_key_values=cache)


def test_the_longest_sequence_is_known():
    assert tiny().max_length == 12


def test_ids_of_special_tokens_are_kept_for_writing():
    assert tiny().generation_config.to_dict() == {"bos_token_id": 50256, "eos_token_id": 6}


def test_a_step_makes_its_large_arrays_in_memory_that_is_used_again():
    """NumPy's own large arrays are new pages from the system each time."""
    model = tiny(n_positions=64, n_embd=96).train()
    ids = np.random.default_rng(0).integers(0, 7, (64, 64))

    def step():
        model.zero_grad()
        model(ids, labels=ids).loss.backward()

    step()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * ids.size * model.config.n_embd / 4  # bytes: a quarter of a hidden state
