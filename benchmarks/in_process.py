"""Run a candidate of a benchmark in its own process, so that memory, threads and allocators do not mix."""

import multiprocessing
import time
from collections.abc import Callable

import torch


class InProcess:
    """Builds a call in a new process; calling this object runs the call there and returns its CPU seconds."""

    def __init__(self, build: Callable[..., Callable[[], object]], *arguments: object, threads: int):
        # Not fork, which PyTorch's threads do not survive; unlike spawn, this imports the libraries once.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["music2vec", "musichubert"])
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads, build, arguments), daemon=True)
        self.process.start()
        theirs.close()
        self.cpu_seconds: list[float] = []

    def __call__(self) -> float:
        self.start()
        return self.wait()

    def start(self) -> None:
        self.pipe.send("run")

    def wait(self) -> float:
        """CPU seconds of the started run, over all threads.

        Raises:
            EOFError: the process failed; its traceback is on stderr.
        """
        self.cpu_seconds.append(self.pipe.recv())
        return self.cpu_seconds[-1]

    def close(self) -> None:
        self.pipe.close()
        self.process.join()


def _serve(pipe, threads: int, build: Callable[..., Callable[[], object]], arguments: tuple) -> None:
    torch.set_num_threads(threads)
    call = build(*arguments)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        start = time.process_time()
        call()
        pipe.send(time.process_time() - start)
