"""Threads and what the core says of itself."""

from __future__ import annotations

import pytest

import minilm
from minilm import _core


def test_number_of_threads() -> None:
    before = minilm.get_num_threads()
    try:
        minilm.set_num_threads(1)
        assert minilm.get_num_threads() == 1
        with pytest.raises(ValueError, match="1 to 256"):
            minilm.set_num_threads(0)
    finally:
        minilm.set_num_threads(before)


def test_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    minilm.show_config()
    printed = capsys.readouterr().out
    for name, value in _core.config().items():
        assert name in printed and str(value) in printed


@pytest.mark.parametrize(("core", "warned"), [("Prescott", True), ("SkylakeX", False)])
def test_an_old_core_is_warned_of(monkeypatch, capsys, core, warned) -> None:
    monkeypatch.setattr(_core, "config", lambda: {"blas": "OpenBLAS", "blas_core": core})
    minilm.show_config()
    assert ("OPENBLAS_CORETYPE" in capsys.readouterr().out) == warned
