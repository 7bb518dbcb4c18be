"""``python -m relion_ganpick`` is the command ``ganpick``."""

import sys

from relion_ganpick.cli import main

if __name__ == "__main__":
    sys.exit(main())
