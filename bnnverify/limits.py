"""Run work under a time and a memory limit that hold even inside native code.

Compiled kernels neither poll a clock nor return to Python, so a limit can only be kept from outside:
the work runs in a forked child, which inherits the compiled kernels and the network without a copy,
and is killed by SIGKILL when a limit is reached. Its result, and what it reported as proved so far,
come through a pipe. Memory is kept twice: the parent samples the child's growth in anonymous pages
every few hundredths of a second, and the child's address space is bounded above its present size, so
that one vast allocation fails at once. Where that failure kills native code, the death is read as
the limit it is, and the message that the code left on stderr is not shown.

Cost: about 2 to 10 ms for the fork and the first page faults, and one pickle of the result.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any, Generic, NoReturn, TypeAlias, TypeVar

from bnnverify.errors import UnsupportedError, UsageError
from bnnverify.verdict import Verdict

T = TypeVar("T")
Report: TypeAlias = Callable[[Any], None]
Work: TypeAlias = Callable[[Report], T]

POLL_SECONDS = 0.02
MIB = 1 << 20
ADDRESS_SLACK_MIB = 1024  # libraries loaded late, thread stacks and allocator arenas reserve without using
CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
COMPLAINTS = (b"out of memory", b"bad_alloc", b"cannot allocate", b"memory allocation", b"memoryerror")
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How limited work ended.

    Args:
        result: what ``work`` returned, or None where a limit came first.
        limit: ``Verdict.TIMEOUT`` or ``Verdict.MEMOUT``, or None where the work finished.
        progress: the last object that the work reported, or None.
        seconds: wall-clock time, the child's start and end included.
        cause: what the work itself said of a limit that it kept on its own, or nothing.
    """

    result: T | None
    limit: Verdict | None
    progress: Any
    seconds: float
    cause: str = ""


def run_limited(work: Work[T], *, timeout: float | None = None, memory: int | None = None) -> Outcome[T]:
    """Call ``work(report)`` and end it when a limit is reached.

    Without limits the work runs inline. Otherwise it runs in a child process: what it changes in
    memory is lost, and its result and reports must be picklable. Exceptions come through, with the
    child's traceback as a note.

    Args:
        work: takes a function to which it may report what was proved so far.
        timeout: seconds of wall-clock time.
        memory: MiB by which the work may grow beyond the calling process's present size.

    Raises:
        UsageError: if a limit is not positive.
        UnsupportedError: if the system cannot fork.
        RuntimeError: if the child died without an answer and without a limit to blame.
    """
    _require_positive("timeout", timeout, "seconds")
    _require_positive("memory", memory, "MiB")
    start = time.monotonic()
    if timeout is None and memory is None:
        return _run_inline(work, start)
    if not hasattr(os, "fork"):
        raise UnsupportedError("limits on time and memory need a system that can fork; run without them")
    child = Child(memory)
    try:
        child.start(work)
        kind, value = child.watch(math.inf if timeout is None else start + timeout)
    finally:
        child.stop()
    limit = _limit_behind(kind, child)
    if kind == "error":
        raise value
    cause = value if kind == "memory" else ""
    return Outcome(value if limit is None else None, limit, child.progress, time.monotonic() - start, cause)


_LIMITS = {"timeout": Verdict.TIMEOUT, "memory": Verdict.MEMOUT}


def _limit_behind(kind: str, child: Child) -> Verdict | None:
    """Which limit ended the child, if any; what it wrote to stderr is shown unless memory ran out."""
    limit = _LIMITS.get(kind) or (child.limit_that_killed() if kind == "died" else None)
    if limit is not Verdict.MEMOUT:
        child.show_stderr()
    if kind == "died" and limit is None:
        raise RuntimeError(f"the process of the engine died without an answer ({child.cause_of_death()})")
    return limit


def _require_positive(name: str, value: float | None, unit: str) -> None:
    if value is not None and not 0 < value < math.inf:
        raise UsageError(f"{name} {value}: expected more than 0 {unit}")


def _run_inline(work: Work[T], start: float) -> Outcome[T]:
    reported: list[Any] = [None]
    try:
        result, limit, cause = work(lambda progress: reported.__setitem__(0, progress)), None, ""
    except MemoryError as error:
        result, limit, cause = None, Verdict.MEMOUT, str(error)
    return Outcome(result, limit, reported[0], time.monotonic() - start, cause)


class Child:
    """The parent's hold on one forked child, leader of its own process group."""

    def __init__(self, memory: int | None) -> None:
        self.memory = memory
        self.receiver, self._sender = Pipe(duplex=False)
        self._stderr: IO[bytes] | None = None if memory is None else tempfile.TemporaryFile()  # noqa: SIM115
        self._stderr_text = b""
        self.progress: Any = None
        self._base_mib = _anonymous_mib(os.getpid())
        self._peak_mib = 0.0
        self._pid = 0
        self._status = 0

    def start(self, work: Work[Any]) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        parent = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of BLAS survive a fork by design
            self._pid = os.fork()
        if self._pid == 0:
            self.receiver.close()
            _live(work, self._sender, parent, self.memory, self._stderr)
        self._sender.close()
        with contextlib.suppress(OSError):
            os.setpgid(self._pid, self._pid)

    def watch(self, deadline: float) -> tuple[str, Any]:
        """Wait for the answer, a limit or the child's death: ``(kind, value)``."""
        while True:
            if self.receiver.poll(min(POLL_SECONDS, max(0.0, deadline - time.monotonic()))):
                kind, value = self._receive()
                if kind != "progress":
                    return kind, value
                self.progress = value
            elif self._is_dead() and not self.receiver.poll():
                return "died", None
            if time.monotonic() >= deadline:
                return "timeout", None
            if self.outgrew():
                return "memory", None

    def stop(self) -> None:
        """Kill the child and its group if they still live, reap it, keep its last report."""
        self._sender.close()
        if self._pid:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self._pid, signal.SIGKILL)
            self._status = os.waitpid(self._pid, 0)[1]
            self._drain()
        self.receiver.close()
        self._keep_stderr()

    def limit_that_killed(self) -> Verdict | None:
        """MEMOUT if the child's death is explained by a lack of memory."""
        if self._signal() == signal.SIGKILL:
            return Verdict.MEMOUT  # not ours: the kernel chose it when memory ran out
        text = self._stderr_text.lower()
        complained = any(phrase in text for phrase in COMPLAINTS)
        grown = self.memory is not None and self._signal() in CRASHES and self._peak_mib > self.memory / 2
        return Verdict.MEMOUT if complained or grown else None

    def cause_of_death(self) -> str:
        number = self._signal()
        return signal.Signals(number).name if number else f"exit code {os.waitstatus_to_exitcode(self._status)}"

    def show_stderr(self) -> None:
        """Pass on what the child wrote to stderr while it was held back."""
        if self._stderr_text:
            sys.stderr.write(self._stderr_text.decode(errors="replace"))

    def _receive(self) -> tuple[str, Any]:
        try:
            kind, value = pickle.loads(self.receiver.recv_bytes())
        except (EOFError, OSError):
            return "died", None
        return kind, value

    def _drain(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while self.receiver.poll():
                kind, value = self._receive()
                if kind == "died":
                    return
                self.progress = value if kind == "progress" else self.progress

    def _is_dead(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def outgrew(self) -> bool:
        if self.memory is None:
            return False
        self._peak_mib = max(self._peak_mib, _anonymous_mib(self._pid) - self._base_mib)
        return self._peak_mib > self.memory

    def _signal(self) -> int:
        return os.WTERMSIG(self._status) if os.WIFSIGNALED(self._status) else 0

    def _keep_stderr(self) -> None:
        if self._stderr is not None:
            self._stderr.seek(0)
            self._stderr_text = self._stderr.read()
            self._stderr.close()


def _live(work: Work[Any], sender: Connection, parent: int, memory: int | None, stderr: IO[bytes] | None) -> NoReturn:
    """The child's whole life; it leaves without running the parent's exit handlers."""
    code = 1
    try:
        die_with(parent)
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if stderr is not None:
            os.dup2(stderr.fileno(), 2)
        message = _answer(work, sender, memory)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        sender.send_bytes(message)
        code = 0
    finally:
        os._exit(code)


def _answer(work: Work[Any], sender: Connection, memory: int | None) -> bytes:
    try:
        _bound_address_space(memory)
        result = work(lambda progress: sender.send_bytes(pickle.dumps(("progress", progress))))
        return pickle.dumps(("result", result), protocol=pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        _bound_address_space(None)
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return pickle.dumps(("memory", str(error) if isinstance(error, MemoryError) else ""))
        return pickle.dumps(("error", _portable(error)))


def _portable(error: BaseException) -> BaseException:
    """The error with its traceback as a note, or a plain stand-in where it does not survive pickling."""
    story = "".join(traceback.format_exception(error)).rstrip()
    error.add_note(f"in the child process:\n{story}")
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception as reason:
        story += f"\n(it could not be sent itself: {reason})"
    stand_in = RuntimeError(f"{type(error).__name__}: {error}")
    stand_in.add_note(story)
    return stand_in


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _bound_address_space(memory: int | None) -> None:
    """Let the address space grow by ``memory`` MiB and some slack; None lifts the bound again."""
    import resource

    size = _pages(os.getpid())[0]
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    bound = hard if memory is None or not size else int(size + (memory + ADDRESS_SLACK_MIB) * MIB)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))


def _anonymous_mib(pid: int) -> float:
    """Resident memory that belongs to no file, in MiB; 0 where the system does not tell."""
    _, resident, shared = _pages(pid)
    return (resident - shared) / MIB


def _pages(pid: int) -> tuple[int, int, int]:
    """Size, resident size and its part backed by files, in bytes; zeros where unknown."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            size, resident, shared = (int(n) * os.sysconf("SC_PAGE_SIZE") for n in statm.read().split()[:3])
    except (OSError, ValueError):
        return 0, 0, 0
    return size, resident, shared
