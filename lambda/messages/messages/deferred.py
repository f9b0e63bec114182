"""Modules that are named at import and used never: put off until the first use, if there is one.

jwcrypto imports `cryptography`'s X.509 and PEM modules, for keys in certificates and files. This function reads keys
from JWKs only, and without those modules jwcrypto is imported in a third of the time. Nothing is replaced or left
out: whoever asks one of them for anything gets the real module.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def defer(*names: str) -> None:
    """Put off the import of modules that are not imported yet."""
    for name in names:
        sys.modules.setdefault(name, _Deferred(name))
