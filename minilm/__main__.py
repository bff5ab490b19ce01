"""``python -m minilm`` is the command ``minilm``."""

import sys

from minilm.cli.main import main

sys.exit(main())
