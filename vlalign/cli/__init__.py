"""Command line: one module per verb; ``vlalign <verb>`` and ``scripts/<verb>.py`` call the same function.

Nothing heavy is imported before :func:`main` runs, so that Ctrl-C ends the program with one line from its start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main", "run_verb"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``vlalign <verb> …`` and return the exit status.

    Args:
        argv: the words after ``vlalign``; None for those of this process, whose streams and signals are then set up.
    """
    return _run(sys.argv[1:] if argv is None else argv, own_process=argv is None)


def run_verb(name: str) -> int:
    """Run one verb with the words of this process (``scripts/<verb>.py``)."""
    return _run([name, *sys.argv[1:]], own_process=True)


def _run(words: Sequence[str], own_process: bool) -> int:
    """Return the exit status of a command, also when it is interrupted or its output is no longer read."""
    try:
        if own_process:
            _prepare_streams()
        try:
            from vlalign.cli.app import run_program

            status = run_program(words)
        except SystemExit as stop:  # a mistake in the command line has been shown
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if not own_process:
                raise
        if own_process:
            status = _flush() or status
            _restore_interrupts()
    except KeyboardInterrupt as error:
        if own_process:
            _restore_interrupts()  # a second Ctrl-C ends the process at once
        print(f"\n{str(error) or 'vlalign: interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # such as `| head`
        _drop_output()
        return 1
    return status


def _flush() -> int:
    """Flush standard output; return 1 if that is not possible, else 0."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        print(f"vlalign: error: cannot write the output: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _prepare_streams() -> None:
    """Open closed streams, and let streams write characters outside their encoding as escape codes."""
    import io
    import os

    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file to be opened would take its place
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Discard the buffer of standard output, without an error when the interpreter ends."""
    import contextlib
    import os

    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _restore_interrupts() -> None:
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
