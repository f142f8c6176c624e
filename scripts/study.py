"""`vlalign study` as a script."""

import sys

from vlalign.cli.study import main

if __name__ == "__main__":
    sys.exit(main())
