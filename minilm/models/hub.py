"""The hub of models: fetching a model by its name, and sharing one.

`huggingface_hub` does both. Only JSON and safetensors files are fetched; nothing else is read.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.device import device
from minilm.models.errors import FolderError, HubError
from minilm.models.model_card import model_card

if TYPE_CHECKING:
    from minilm.models.pretrained import PretrainedModel

PATTERNS = ("*.json", "*.safetensors")
OPTIONS = ("revision", "token", "cache_dir", "local_files_only")
NO_MATTER = ("use_safetensors", "low_cpu_mem_usage", "trust_remote_code")
NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # "gpt2", "openai-community/gpt2"
CARD = "README.md"


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part the arguments of ``from_pretrained`` into those of :func:`resolve` and the others.

    ``device_map`` is taken out, and what would make no difference here: all models are read from
    safetensors, as they are needed, by code of this package.

    Raises
    ------
    RuntimeError
        If it asks for another device than the CPU.
    """
    options = dict(options)
    if (place := options.pop("device_map", None)) not in (None, "auto"):
        device(place)
    for name in NO_MATTER:
        options.pop(name, None)
    hub = {name: value for name, value in options.items() if name in OPTIONS}
    return hub, {name: value for name, value in options.items() if name not in OPTIONS}


def resolve(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    patterns: Sequence[str] = PATTERNS,
) -> Path:
    """Return the folder of a model: the one that is named, or a copy of the hub's.

    Parameters
    ----------
    name_or_path : str or Path
        A folder, or if there is none of this name, a model of the hub: ``"distilgpt2"``,
        ``"openai-community/gpt2"``.
    revision : str, optional
        A branch, tag or commit.
    token : str or bool, optional
        For models that are not public.
    cache_dir : str or Path, optional
        Where copies are kept; by default where ``huggingface_hub`` keeps them.
    local_files_only : bool
        Take a copy that was fetched before, and ask nobody. The variable ``HF_HUB_OFFLINE=1`` does
        the same.
    patterns : sequence of str
        Which files are wanted.

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        If it is neither a text nor a path.
    FolderError
        If it is neither a folder nor a possible name.
    HubError
        If the hub has no such model, or cannot be asked; the message says what to do.
    ImportError
        If ``huggingface_hub`` is missing.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(f"expected a folder or a hub name, got {type(name_or_path).__name__}")
    path = Path(name_or_path)
    if path.exists() and name_or_path != "":  # which Path takes for the current folder
        return path
    if not isinstance(name_or_path, str) or not NAME.fullmatch(name_or_path):
        raise FolderError(
            f"{str(name_or_path)!r} does not exist, and is no name of the hub, such as 'gpt2' or "
            "'openai-community/gpt2'; expected the folder of a model"
        )
    fetch = _hub().snapshot_download
    try:
        folder = fetch(
            name_or_path,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"],  # copies for other programs
        )
    except Exception as error:  # of the network, of the hub, of the disk: dozens of classes
        raise HubError(_what_to_do(name_or_path, error, local_files_only)) from error
    return Path(folder)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ImportError(
            "models of the hub need huggingface_hub: pip install 'minilm[hub]', or download the "
            "model's folder by other means and pass its path"
        ) from None
    return huggingface_hub


def _what_to_do(name: str, error: Exception, local_files_only: bool) -> str:
    """Say why a model of the hub could not be had, and what helps."""
    from huggingface_hub import constants, errors

    what = f"there is no folder {name!r} here, and the hub's model of this name"
    if isinstance(error, errors.GatedRepoError):
        return f"{what} asks for consent: accept its terms on its page, then pass token=..."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{what} does not exist, or is not public: check the name, or pass token=..."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{what} has no such revision: {_first_line(error)}"
    if local_files_only or constants.HF_HUB_OFFLINE:
        return (
            f"{what} was not fetched before, and nobody is asked because of local_files_only or "
            f"HF_HUB_OFFLINE. Where there is a network, fetch it once: `hf download {name}`, and "
            "copy that folder here or the cache with it"
        )
    return (
        f"{what} could not be fetched ({type(error).__name__}: {_first_line(error)}). Without a "
        f"network: fetch it elsewhere with `hf download {name} --local-dir FOLDER`, copy the "
        "folder here and pass its path; or make a new model with from_config"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def push_to_hub(
    model: PretrainedModel,
    repo_id: str,
    *,
    tokenizer: Any = None,
    **options: Any,
) -> str:
    """Share a model on the hub, with its tokenizer and a model card.

    A card that is there already stays as it is.

    Parameters
    ----------
    model : PretrainedModel
        What to share.
    repo_id : str
        Name of the repository: ``"user/name"``; made when missing.
    tokenizer : tokenizers.Tokenizer, optional
        Uploaded as ``tokenizer.json``.
    **options
        ``private``, ``token``, ``commit_message``, ``revision``: see :func:`share`.

    Returns
    -------
    str
        The commit's address.

    Raises
    ------
    HubError
        If the hub cannot be asked, or refuses.
    ImportError
        If ``huggingface_hub`` is missing.
    """
    return share(
        lambda folder: model.save_pretrained(folder, tokenizer),
        repo_id,
        card=lambda name: model_card(model, name),
        **{"commit_message": "Upload model", **options},
    )


def share(
    save: Callable[[Path], object],
    repo_id: str,
    *,
    commit_message: str,
    card: Callable[[str], str] | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    api: Any = None,
) -> str:
    """Share what can be saved in a folder; other files of the repository stay.

    Parameters
    ----------
    save : callable
        Writes the files into a folder.
    repo_id : str
        Name of the repository: ``"user/name"``; made when missing.
    card : callable, optional
        Makes a card for the repository's name; asked where there is none yet.
    private : bool, optional
        Whether a new repository is private; by default as the account has it.
    token : str or bool, optional
        By default that of ``hf auth login``.
    commit_message : str
        What the commit says.
    revision : str, optional
        The branch to write to.
    api : huggingface_hub.HfApi, optional
        Instead of the usual one.

    Returns
    -------
    str
        The commit's address.

    Raises
    ------
    HubError
        If the hub cannot be asked, or refuses.
    ImportError
        If ``huggingface_hub`` is missing.
    """
    api = api or _hub().HfApi(token=token)
    try:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save(folder)
            if card is not None and not api.file_exists(repo_id, CARD, revision=revision):
                (folder / CARD).write_text(card(repo_id), encoding="utf-8")
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=str(folder),
                commit_message=commit_message,
                revision=revision,
            )
    except Exception as error:
        raise HubError(
            f"{repo_id} was not shared ({type(error).__name__}: {_first_line(error)}). Log in with "
            "`hf auth login`, or pass a token that may write; nothing is lost: save_pretrained "
            "keeps it in a folder"
        ) from error
    return str(getattr(commit, "commit_url", commit))
