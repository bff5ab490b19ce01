"""More tokens or fewer: what Hugging Face's ``resize_token_embeddings`` does."""

import numpy as np
import pytest
from test_models_decoding_transformer import gpt2, ids_of, llama, logits_of

import minilm
from minilm import nn, optim
from minilm.models import (
    AWDLSTM,
    AutoModelForCausalLM,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Model,
    LanguageModel,
    RNNModel,
    from_pretrained,
)

OLD = 37
MODELS = {
    "gpt2": gpt2,
    "gpt2, untied": lambda: gpt2(tie_word_embeddings=False),
    "llama": llama,
    "llama, tied": lambda: llama(tie_word_embeddings=True),
    "rnn": lambda: RNNModel(OLD, 6, 8, "gru").eval(),
    "rnn, tied": lambda: RNNModel(OLD, 8, 8, tie_weights=True).eval(),
    "awd": lambda: AWDLSTM(OLD, 6, 8, 2).eval(),
    "awd, untied": lambda: AWDLSTM(OLD, 6, 8, 2, tie_weights=False).eval(),
}

every_model = pytest.mark.parametrize("name", MODELS)


def vocab_size(model):
    return model.config["vocab_size"] if isinstance(model.config, dict) else model.config.vocab_size


@every_model
@pytest.mark.parametrize("count", [OLD + 5, OLD - 5])
def test_old_rows_stay_and_everything_follows(name, count, tmp_path):
    model, ids = MODELS[name](), ids_of(2, 7) % (OLD - 5)
    before, tied = logits_after(model, ids), is_tied(model)
    parameters = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    table = model.resize_token_embeddings(count)
    assert table is model.get_input_embeddings()
    assert (table.num_embeddings, tuple(table.weight.shape)[0]) == (count, count)
    assert model.get_output_embeddings().out_features == vocab_size(model) == count
    assert is_tied(model) == tied
    for key, parameter in model.named_parameters():
        kept = min(len(parameters[key]), len(parameter))
        np.testing.assert_array_equal(parameter.detach().numpy()[:kept], parameters[key][:kept])
        assert parameter.requires_grad
    kept = min(count, OLD)
    after = logits_after(model, ids)
    assert after.shape[-1] == count
    np.testing.assert_allclose(after[..., :kept], before[..., :kept], rtol=1e-5, atol=1e-5)
    # Packed weights see it, too, and a folder keeps it.
    written = model.generate(ids[0], 5, do_sample=False).tolist()
    assert written[7] == int(after[0, -1].argmax())
    model.save_pretrained(tmp_path)
    again = from_pretrained(tmp_path)
    assert (vocab_size(again), is_tied(again)) == (count, tied)
    np.testing.assert_array_equal(logits_after(again, ids), after)


def logits_after(model, ids):
    output = model(ids)
    return getattr(output, "logits", output).detach().numpy()


def is_tied(model):
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_new_rows_are_drawn_around_the_mean_of_the_old():
    minilm.manual_seed(0)
    model = RNNModel(2000, 3, 3)
    old = model.embedding.weight.detach().numpy().astype(np.float64)
    old[:] = old @ [[5, 1, 0], [0, 2, 0], [1, 0, 1]] + [1, -2, 3]
    model.embedding.weight.detach().numpy()[:] = old
    bias = model.fc.bias.detach().numpy().copy()
    model.resize_token_embeddings(22000)
    new = model.embedding.weight.detach().numpy()[2000:].astype(np.float64)
    np.testing.assert_allclose(new.mean(0), old.mean(0), rtol=1e-5)
    expected = np.sqrt(1e-9 * np.diag(np.cov(old.T)))
    np.testing.assert_allclose(new.std(0), expected, rtol=0.03)
    correlation = np.corrcoef(new.T)
    np.testing.assert_allclose(correlation, np.corrcoef(old.T), atol=0.05)
    np.testing.assert_allclose(model.fc.bias.detach().numpy()[2000:], bias.mean(), atol=1e-6)


def test_fewer_tokens_than_dimensions_give_the_mean_itself():
    model = gpt2()
    table = model.transformer.wte.weight
    table.detach().numpy()[:] = np.arange(60)  # all rows alike: no covariance
    model.resize_token_embeddings(OLD + 3)
    np.testing.assert_array_equal(
        model.transformer.wte.weight.detach().numpy()[OLD:], [range(60)] * 3
    )


def test_without_the_mean_rows_start_as_those_of_a_new_model():
    minilm.manual_seed(0)
    model = gpt2(initializer_range=0.5)
    model.transformer.wte.weight.detach().numpy()[:] += 40
    model.resize_token_embeddings(OLD + 500, mean_resizing=False)
    new = model.transformer.wte.weight.detach().numpy()[OLD:]
    assert abs(new.mean()) < 0.02 and new.std() == pytest.approx(0.5, rel=0.03)
    rnn = RNNModel(OLD, 60, 8)
    std = rnn.embedding.weight.detach().numpy().std()
    rnn.resize_token_embeddings(OLD + 500, mean_resizing=False)
    assert rnn.embedding.weight.detach().numpy()[OLD:].std() == pytest.approx(std, rel=0.03)
    assert (rnn.fc.bias.detach().numpy()[OLD:] == 0).all()


def test_counts():
    model = gpt2()
    table = model.transformer.wte.weight.detach().numpy().copy()
    assert model.resize_token_embeddings().num_embeddings == OLD
    np.testing.assert_array_equal(model.transformer.wte.weight.detach().numpy(), table)
    assert model.resize_token_embeddings(pad_to_multiple_of=16).num_embeddings == 48
    assert model.resize_token_embeddings(50, pad_to_multiple_of=8).num_embeddings == 56
    assert model.resize_token_embeddings(40, pad_to_multiple_of=8).num_embeddings == 40
    for wrong in (0, -3, 2.0, True, "40"):
        with pytest.raises(ValueError, match="new_num_tokens must be a whole number of at least 1"):
            model.resize_token_embeddings(wrong)
        with pytest.raises(ValueError, match="pad_to_multiple_of must be a whole number of at le"):
            model.resize_token_embeddings(40, wrong)


def test_a_padding_row_that_is_cut_off_is_no_padding_any_more(tmp_path):
    model = llama(pad_token_id=OLD - 1)
    model.resize_token_embeddings(OLD + 1)
    assert (model.config.pad_token_id, model.model.embed_tokens.padding_idx) == (OLD - 1, OLD - 1)
    model.resize_token_embeddings(OLD - 1)
    assert (model.config.pad_token_id, model.model.embed_tokens.padding_idx) == (None, None)
    model.save_pretrained(tmp_path)
    assert from_pretrained(tmp_path).config.vocab_size == OLD - 1


def test_it_learns_and_an_older_optimizer_says_so():
    model = gpt2().train()
    older = optim.AdamW(model.parameters())
    ids = ids_of(2, 7)

    def step(optimizer):
        model(ids, labels=ids).loss.backward()
        optimizer.step()

    step(older)
    model.resize_token_embeddings(OLD + 2)
    assert model.transformer.wte.weight.grad is None
    with pytest.raises(ValueError, match=r"expected shape \(39, 60\), got \(37, 60\)"):
        step(older)
    before = model.transformer.wte.weight.detach().numpy().copy()
    ids[0] = OLD + 1
    step(optim.AdamW(model.parameters()))
    assert (model.transformer.wte.weight.detach().numpy()[OLD + 1] != before[OLD + 1]).all()


def test_models_without_a_head_and_classifiers(tmp_path):
    base = GPT2Model(gpt2().config)
    assert base.resize_token_embeddings(OLD + 2) is base.wte
    assert base(np.array([[OLD + 1]])).last_hidden_state.shape == (1, 1, 60)
    config = DistilBertConfig(vocab_size=9, dim=4, hidden_dim=4, n_layers=1, n_heads=1)
    classifier = DistilBertForSequenceClassification(config).eval()
    before = classifier(np.array([[1, 2]])).logits.detach().numpy()
    classifier.resize_token_embeddings(12)
    np.testing.assert_array_equal(classifier(np.array([[1, 2]])).logits.detach().numpy(), before)
    assert classifier(np.array([[1, 11]])).logits.shape == (1, 2)
    assert config.vocab_size == 12


def test_a_quantized_model_is_refused_and_stays_as_it_is():
    model = gpt2()
    quantized = model.quantize()
    model.resize_token_embeddings(OLD + 2)
    assert quantized.config.vocab_size == OLD
    assert logits_of(quantized, ids_of(1, 3)).shape[-1] == OLD
    assert logits_of(model.quantize(), ids_of(1, 3)).shape[-1] == OLD + 2
    with pytest.raises(TypeError, match="on the model that it was made from, then quantize"):
        quantized.resize_token_embeddings(OLD + 2)


def test_other_parts_are_refused():
    class Own(LanguageModel):
        model_type = "own"

    with pytest.raises(TypeError, match="its class needs a method get_input_embeddings"):
        Own().resize_token_embeddings(3)
    model = RNNModel(OLD, 4, 4)
    model.fc = nn.Sequential(nn.Linear(4, OLD))
    with pytest.raises(TypeError, match="RNNModel has a Sequential in the place of an nn.Linear"):
        model.resize_token_embeddings(OLD + 2)
    assert model.embedding.num_embeddings == OLD


@pytest.mark.parametrize("make", [gpt2, llama, lambda: gpt2(tie_word_embeddings=False)])
def test_folders_move_both_ways(make, tmp_path):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    model, ids = make(), ids_of(2, 7)
    model.resize_token_embeddings(OLD + 4)
    model.save_pretrained(tmp_path / "ours")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert theirs.config.vocab_size == OLD + 4

    def their_logits(ids):
        with torch.no_grad():
            return theirs(torch.tensor(ids)).logits.numpy()

    ids[0, 0] = OLD + 3
    np.testing.assert_allclose(logits_of(model, ids), their_logits(ids), rtol=1e-4, atol=1e-4)
    theirs.resize_token_embeddings(OLD + 9)
    theirs.save_pretrained(tmp_path / "theirs")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    ids[1, 0] = OLD + 8
    np.testing.assert_allclose(logits_of(again, ids), their_logits(ids), rtol=1e-4, atol=1e-4)
    # The draws differ, what they are drawn from does not: each row is within its noise.
    model.resize_token_embeddings(OLD + 9)
    ours, other = (m.get_input_embeddings().weight.detach().numpy() for m in (model, theirs))
    np.testing.assert_allclose(ours, other, atol=1e-3)
