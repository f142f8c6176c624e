"""`vlalign compare` as a script."""

import sys

from vlalign.cli.compare import main

if __name__ == "__main__":
    sys.exit(main())
