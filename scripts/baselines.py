"""`vlalign baselines` as a script."""

import sys

from vlalign.cli import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("baselines"))
