import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hub_server import COMMIT as SERVED
from hub_server import hub

import minilm
from minilm.data.tokenizer import train_char_tokenizer
from minilm.models import (
    AutoConfig,
    AutoModelForCausalLM,
    FolderError,
    GPT2Config,
    GPT2LMHeadModel,
    HubError,
    RNNModel,
)
from minilm.models.hub import resolve, split_options
from minilm.tokenization import PreTrainedTokenizerFast

huggingface_hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")
constants = pytest.importorskip("huggingface_hub.constants")

IDS = np.array([[1, 2, 3]])
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def tiny() -> GPT2LMHeadModel:
    minilm.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=5, n_positions=4, n_embd=4, n_layer=1, n_head=2))


@pytest.fixture
def cache(tmp_path) -> Path:
    """A cache as huggingface_hub keeps it, with the model ``user/tiny``."""
    model = tmp_path / "cache" / "models--user--tiny"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    tiny().save_pretrained(model / "snapshots" / COMMIT)
    return tmp_path / "cache"


def test_a_folder_is_itself(tmp_path):
    assert resolve(tmp_path) == tmp_path
    assert resolve(str(tmp_path)) == tmp_path


def test_a_copy_that_was_fetched_before_needs_no_network(cache):
    options = {"cache_dir": cache, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained("user/tiny", **options)
    expected = tiny().eval()(IDS).logits.detach().numpy()
    np.testing.assert_array_equal(model(IDS).logits.detach().numpy(), expected)
    assert AutoConfig.from_pretrained("user/tiny", **options).n_embd == 4
    assert GPT2LMHeadModel.from_pretrained("user/tiny", **options).num_parameters() > 0


DOWNLOADS = """
import numpy as np
from minilm.models import AutoModelForCausalLM, HubError
from minilm.tokenization import AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("user/tiny")
print(model(np.array([[1, 2, 3]])).logits.detach().numpy().sum())
print(AutoTokenizer.from_pretrained("user/tiny")("cab")["input_ids"])
try:
    AutoModelForCausalLM.from_pretrained("user/other")
except HubError as error:
    print(error)
"""


def test_a_model_and_its_tokenizer_are_fetched_from_a_hub_and_kept(tmp_path, run_python):
    folder = tmp_path / "served"
    tiny().save_pretrained(folder, train_char_tokenizer(["abc "]))
    for kept_from in ("pytorch_model.bin", "onnx/model.safetensors"):
        (folder / kept_from).parent.mkdir(exist_ok=True)
        (folder / kept_from).write_bytes(b"not to be fetched")
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    with hub("user/tiny", folder) as server:
        printed = run_python("-c", DOWNLOADS, HF_ENDPOINT=server.address, **environment)
    logits, ids, refusal = printed.splitlines()
    assert float(logits) == pytest.approx(tiny().eval()(IDS).logits.detach().numpy().sum())
    assert len(json.loads(ids)) == 3
    assert "'user/other' here" in refusal
    assert "does not exist, or is not public" in refusal
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(server.fetched)
    assert not {"pytorch_model.bin", "onnx/model.safetensors"} & set(server.fetched)
    assert len(server.fetched) == len(set(server.fetched))
    # A second time, the hub is gone, and what was fetched is there.
    again = run_python(
        "-c", DOWNLOADS.split("try:")[0], HF_ENDPOINT="http://127.0.0.1:9", **environment
    )
    assert again.splitlines() == [logits, ids]
    snapshots = tmp_path / "home" / "hub" / "models--user--tiny" / "snapshots"
    assert [path.name for path in snapshots.iterdir()] == [SERVED]


def test_a_name_that_was_not_fetched_says_what_to_do(cache):
    with pytest.raises(
        HubError, match="no folder 'user/other' here.*local_files_only.*hf download"
    ):
        resolve("user/other", cache_dir=cache, local_files_only=True)


def test_the_variable_of_the_hub_is_respected(cache, run_python):
    program = f"""
from minilm.models import HubError
from minilm.models.hub import resolve
print(resolve("user/tiny", cache_dir={str(cache)!r}).name)
try:
    resolve("user/other", cache_dir={str(cache)!r})
except HubError as error:
    print(error)
"""
    printed = run_python("-c", program, HF_HUB_OFFLINE="1")
    assert printed.splitlines()[0] == COMMIT
    assert "HF_HUB_OFFLINE" in printed


def test_only_json_and_safetensors_of_the_top_folder_are_fetched(monkeypatch, tmp_path):
    calls = []

    def snapshot_download(name, **options):
        calls.append((name, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert resolve("gpt2", revision="main", token="secret") == tmp_path
    [(name, options)] = calls
    assert name == "gpt2"
    assert options["allow_patterns"] == ["*.json", "*.safetensors"]
    assert options["ignore_patterns"] == ["*/*"]
    assert (options["revision"], options["token"]) == ("main", "secret")


def failing(error):
    def snapshot_download(name, **options):
        raise error

    return snapshot_download


def refusal(kind: str):
    """Make an error of the hub's without an answer from it."""
    error = getattr(errors, kind)
    return error.__new__(error, "refused")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refusal("GatedRepoError"), "asks for consent"),
        (refusal("RepositoryNotFoundError"), "does not exist, or is not public"),
        (refusal("RevisionNotFoundError"), "has no such revision"),
        (
            ConnectionError("no route\nto host"),
            r"fetched \(ConnectionError: no route\).*--local-dir",
        ),
        (RuntimeError(), r"RuntimeError: no message"),
    ],
)
def test_each_failure_says_what_helps(monkeypatch, error, message):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(error))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(HubError, match=message):
        resolve("user/tiny")


@pytest.mark.parametrize("name", [Path("nowhere"), "a/b/c", "../nowhere", "/nowhere", "", "~/x"])
def test_what_is_no_name_is_not_asked_for(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(AssertionError("asked")))
    with pytest.raises(FolderError, match="does not exist, and is no name of the hub"):
        resolve(name)


def test_what_is_neither_text_nor_path_is_said():
    with pytest.raises(TypeError, match="expected a folder or a hub name, got NoneType"):
        resolve(None)


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'minilm\[hub\]'"):
        resolve("user/tiny")


def test_options_are_parted():
    hub, others = split_options({"token": "t", "num_labels": 3, "cache_dir": "c"})
    assert hub == {"token": "t", "cache_dir": "c"}
    assert others == {"num_labels": 3}


# --- sharing --------------------------------------------------------------------------------------


class FakeApi:
    """Does what ``huggingface_hub.HfApi`` does, into a dictionary."""

    def __init__(self, card: bool = False) -> None:
        self.card = card
        self.files: dict[str, bytes] = {}
        self.calls: list[tuple[str, dict]] = []

    def create_repo(self, repo_id, **options):
        self.calls.append(("create_repo", options))
        return SimpleNamespace(repo_id=f"user/{repo_id}")

    def file_exists(self, repo_id, filename, **options):
        assert filename == "README.md"
        return self.card

    def upload_folder(self, *, repo_id, folder_path, **options):
        self.calls.append(("upload_folder", options | {"repo_id": repo_id}))
        self.files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repo_id}/commit/1")


def test_a_model_is_shared_with_tokenizer_and_card():
    api = FakeApi()
    address = tiny().push_to_hub(
        "tiny",
        tokenizer=train_char_tokenizer("hell"),
        private=True,
        commit_message="First",
        api=api,
    )
    assert address == "https://huggingface.co/user/tiny/commit/1"
    assert sorted(api.files) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    card = api.files["README.md"].decode()
    assert 'AutoModelForCausalLM.from_pretrained("user/tiny")' in card
    assert json.loads(api.files["config.json"])["model_type"] == "gpt2"
    assert api.calls[0] == ("create_repo", {"private": True, "exist_ok": True})
    assert api.calls[1][1]["commit_message"] == "First"
    assert api.calls[1][1]["repo_id"] == "user/tiny"


def test_a_tokenizer_is_shared_alone(tmp_path):
    api = FakeApi()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_char_tokenizer("hell"))
    address = tokenizer.push_to_hub("tiny", private=True, api=api)
    assert address == "https://huggingface.co/user/tiny/commit/1"
    assert sorted(api.files) == ["tokenizer.json", "tokenizer_config.json"]
    assert api.calls[1][1]["commit_message"] == "Upload tokenizer"
    for name, content in api.files.items():
        (tmp_path / name).write_bytes(content)
    back = PreTrainedTokenizerFast.from_pretrained(tmp_path, padding_side="left")
    assert back.is_fast and back.padding_side == "left"
    assert back.get_vocab() == tokenizer.get_vocab()


def test_what_was_shared_can_be_loaded(tmp_path):
    api = FakeApi()
    tiny().push_to_hub("tiny", api=api)
    for name, content in api.files.items():
        (tmp_path / name).write_bytes(content)
    assert AutoModelForCausalLM.from_pretrained(tmp_path).num_parameters() > 0


def test_a_card_that_is_there_stays():
    api = FakeApi(card=True)
    RNNModel(5, 3, 4).push_to_hub("tiny", api=api)
    assert "README.md" not in api.files
    assert "model.safetensors" in api.files


def test_a_refusal_says_what_to_do():
    class Refusing(FakeApi):
        def create_repo(self, repo_id, **options):
            raise PermissionError("401 Unauthorized")

    with pytest.raises(
        HubError, match=r"tiny was not shared \(PermissionError: 401.*hf auth login"
    ):
        tiny().push_to_hub("tiny", api=Refusing())
