"""Several trials at once, each in a process of its own with its share of the cores."""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from musicssl.errors import UserError
from musicssl.probing.protocol import ProbeSettings
from study.plan import Trial
from study.tasks import Tasks
from study.trial import carry_out


@dataclass(frozen=True)
class Jobs:
    """How trials are carried out.

    Attributes:
        at_once: processes.
        logs: folder for what each trial prints, one file per trial.
        curves: checkpoints on the way are probed too.
    """

    at_once: int
    logs: Path
    tasks: Tasks
    settings: ProbeSettings
    curves: bool

    def run(self, trials: dict[str, Trial]) -> Iterator[tuple[str, str]]:
        """Carry out the trials in their order; yields (name, what becomes of it) as each begins and ends.

        Raises:
            KeyboardInterrupt: a trial was asked to stop; the others stop by the same signal.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        if self.at_once == 1:
            for name, trial in trials.items():
                yield name, "running"
                yield name, self._outcome(name, trial)
            return
        threads = max(1, (os.cpu_count() or 1) // self.at_once)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before the libraries of a new process are loaded
        waiting, running = list(trials), {}
        # A process per trial: what libraries keep of memory and settings ends with it.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.at_once, context, max_tasks_per_child=1) as pool:
            while waiting or running:
                while waiting and len(running) < self.at_once:
                    name = waiting.pop(0)
                    running[pool.submit(self._outcome, name, trials[name])] = name
                    yield name, "running"
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()

    def _outcome(self, name: str, trial: Trial) -> str:
        """Carry out one trial; in a process of its own when several run at once."""
        started = time.monotonic()
        log = (self.logs / f"{name}.txt").open("a")
        try:
            with log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                carry_out(trial, self.tasks.load(), self.settings, self.curves)
        except UserError as error:
            return f"failed: {error}"
        return f"done, {(time.monotonic() - started) / 60:.1f} min"
