"""Tasks side by side in processes, among which the machine's threads are divided."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from minilm.runtime import get_num_threads, set_num_threads
from minilm.tuning.objectives import Objective, Outcome, Task


class Workers:
    """Do tasks in some processes inside the block; one is the process that asks.

    Results do not depend on their number: each task seeds what it draws, and the core's sums do
    not depend on threads.

    Parameters
    ----------
    jobs : int
        How many tasks at a time.

    Raises
    ------
    ValueError
        If that is below 1.
    """

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"jobs must be at least 1; got {jobs}")
        self.jobs = jobs
        self._pool: Any = None
        self._others: list[Any] = []  # processes that are not ours

    def __enter__(self) -> Self:
        if self.jobs > 1:
            from concurrent.futures import ProcessPoolExecutor
            from multiprocessing import active_children, get_context

            self._others = active_children()
            threads = max(1, get_num_threads() // self.jobs)
            # spawn: a fork would copy the locks of threads that it does not copy
            self._pool = ProcessPoolExecutor(
                self.jobs, get_context("spawn"), initializer=_begin, initargs=(threads,)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        if error is not None:
            self._kill()  # runs go on from their last checkpoints another time
        self._pool.shutdown(cancel_futures=True)

    def _kill(self) -> None:
        from multiprocessing import active_children

        for child in active_children():
            if child not in self._others:
                child.kill()

    def outcomes(
        self, objective: Objective, tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Yield tasks with what came of them, as they are done.

        Raises
        ------
        RuntimeError
            If a process died.
        """
        if self._pool is None:
            yield from ((task, objective(task)) for task in tasks)
            return
        from concurrent.futures import as_completed
        from concurrent.futures.process import BrokenProcessPool

        try:
            futures = {self._pool.submit(objective, task): task for task in tasks}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise RuntimeError(
                "a process that trained has died (killed by hand, or for want of memory: try fewer "
                "jobs); what is finished is kept, start again to go on. In a script of one's own, "
                'searches with several jobs belong below `if __name__ == "__main__":`'
            ) from None


def _begin(threads: int) -> None:
    """Prepare a process: its threads, and whom it listens to."""
    set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; runs hear it themselves
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Let a killed search leave nobody behind who writes into its folder."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
