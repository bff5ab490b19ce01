import io
import sys

from training_helpers import tiny_engine

from minilm.training.progress import Progress, in_notebook


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def run(file) -> str:
    tiny_engine(None, Progress(file), num_train_epochs=2).run()
    return file.getvalue()


def test_where_nobody_watches_there_is_a_line_an_epoch():
    lines = run(io.StringIO()).splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("nats a token" in line and "tokens/s" in line for line in lines)


def test_a_terminal_gets_a_bar_with_loss_speed_and_time_left():
    shown = run(Terminal())
    assert "\r" in shown
    assert "loss " in shown
    assert "tokens/s" in shown
    assert " left" in shown


def test_a_notebook_is_told_by_its_kernel_not_by_what_was_imported(monkeypatch):
    class Shell:
        kernel = object()

    class Module:
        get_ipython = staticmethod(lambda: None)

    monkeypatch.setitem(sys.modules, "ipykernel", Module)
    monkeypatch.setitem(sys.modules, "IPython", Module)
    assert not in_notebook()
    monkeypatch.setattr(Module, "get_ipython", staticmethod(Shell))
    assert in_notebook()
