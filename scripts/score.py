"""`vlalign score` as a script."""

import sys

from vlalign.cli.score import main

if __name__ == "__main__":
    sys.exit(main())
