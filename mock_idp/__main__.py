"""`python -m mock_idp`: start the issuer with the settings found in the environment."""

import sys

from mock_idp.app import main

if __name__ == "__main__":
    sys.exit(main())
