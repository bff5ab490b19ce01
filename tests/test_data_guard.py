import pytest

from minilm.data.guard import guarded


class PanicException(BaseException):  # noqa: N818 - as pyo3 calls it
    pass


def test_what_rust_raises_becomes_one_kind_of_error():
    for error in (Exception("odd"), PanicException("odd"), OverflowError("odd")):
        with pytest.raises(ValueError, match="^the file: odd$"), guarded(ValueError, "the file"):
            raise error
    with pytest.raises(ValueError, match="^the file: PanicException$"):  # noqa: SIM117
        with guarded(ValueError, "the file"):
            raise PanicException


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_ctrl_c_passes(error):
    with pytest.raises(error), guarded(ValueError, "the file"):
        raise error
