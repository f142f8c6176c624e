"""`vlalign pull` as a script."""

import sys

from vlalign.cli.pull import main

if __name__ == "__main__":
    sys.exit(main())
