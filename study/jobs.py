"""Run several trials at once, each in its own process with a share of the cores."""

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
    """Runs trials, `at_once` of them in parallel; the output of each goes to a file of its own in `logs`."""

    at_once: int
    logs: Path
    tasks: Tasks
    settings: ProbeSettings
    curves: bool

    def run(self, trials: dict[str, Trial]) -> Iterator[tuple[str, str]]:
        """Run the trials in order; yields (name, state) when a trial begins and when it ends.

        Raises:
            KeyboardInterrupt: a trial was interrupted; the same signal stops the others.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        if self.at_once == 1:
            for name, trial in trials.items():
                yield name, "running"
                yield name, self._outcome(name, trial)
            return
        threads = max(1, (os.cpu_count() or 1) // self.at_once)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # a new process reads it when it loads its libraries
        waiting, running = list(trials), {}
        # One process per trial: the memory and settings that libraries keep end with it.
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
        """Run one trial, in its own process when several run at once; returns how it ended."""
        started = time.monotonic()
        log = (self.logs / f"{name}.txt").open("a")
        try:
            with log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                carry_out(trial, self.tasks.load(), self.settings, self.curves)
        except UserError as error:
            return f"failed: {error}"
        return f"done, {(time.monotonic() - started) / 60:.1f} min"
