"""`vlalign perturb` as a script."""

import sys

from vlalign.cli.perturb import main

if __name__ == "__main__":
    sys.exit(main())
