"""`vlalign leaderboard` as a script."""

import sys

from vlalign.cli.leaderboard import main

if __name__ == "__main__":
    sys.exit(main())
