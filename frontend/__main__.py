"""Run the page's server: ``python -m frontend``."""

import sys

from frontend.app import run

sys.exit(run())
