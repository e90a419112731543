"""``python -m e2i``: the command ``e2i``."""

from e2i.cli.main import main

main()
