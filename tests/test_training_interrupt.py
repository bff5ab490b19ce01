import signal
import threading

import pytest

from minilm.training.interrupt import InterruptFlag, interrupt_deferred


def test_ctrl_c_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupt_deferred():
        signal.raise_signal(signal.SIGINT)
        done.append("rest of the block")
    assert done


def test_nothing_happens_without_ctrl_c():
    before = signal.getsignal(signal.SIGINT)
    with interrupt_deferred():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_the_block_comes_out_and_the_handler_goes_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="inside"), interrupt_deferred():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGINT) is before


def test_in_other_threads_it_does_nothing():
    ran = []

    def work():
        with interrupt_deferred():
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran


def test_a_flag_holds_ctrl_c_until_it_is_checked():
    before = signal.getsignal(signal.SIGINT)
    flag = InterruptFlag()
    with pytest.raises(KeyboardInterrupt), flag:
        flag.check()  # nothing came
        signal.raise_signal(signal.SIGINT)
        reached = True
        flag.check()
    assert reached
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), InterruptFlag():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one was held back, too")
