"""A verb whose process is killed at a change of its files, counted exactly: shards are written by several threads."""

from __future__ import annotations

import sys

_CODE = """
import os, re, signal, sys, threading
from vlalign.cli import run_verb
verb, names, at, how = sys.argv[1], re.compile(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
del sys.argv[1:5]
done, replace, one_at_a_time = 0, os.replace, threading.Lock()
def counted(source, target):
    global done
    if not names.search(os.path.basename(target)):
        return replace(source, target)
    with one_at_a_time:
        if how == "before" and done == at:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        done += 1
        if how == "after" and done == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "interrupt" and done == at:
            signal.raise_signal(signal.SIGINT)
os.replace = counted
sys.exit(run_verb(verb))
"""


def killed_at(at: int, verb: str, arguments: str, *, names: str = r"\.safetensors$", how: str = "before") -> list[str]:
    """Return a command line of a verb that dies at a file.

    Args:
        at: how many files are finished when it dies.
        names: regular expression of the files that count.
        how: ``before`` the next file, ``after`` that one, or ``interrupt`` (Ctrl-C after that one).
    """
    return [sys.executable, "-c", _CODE, verb, names, str(at), how, *arguments.split()]
