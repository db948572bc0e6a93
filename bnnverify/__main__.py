"""``python -m bnnverify`` is the command ``bnnverify``."""

import sys

from bnnverify.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
