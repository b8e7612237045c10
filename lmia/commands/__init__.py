"""The commands beside `lmia audit`: one file each, with `main(argv) -> int`."""

from __future__ import annotations

import argparse
from typing import NoReturn

from lmia.errors import LmiaError


class Parser(argparse.ArgumentParser):
    """argparse, with our two-line errors and help that keeps its line breaks.

    Args:
        command: as typed behind `lmia`, such as `verify`.
        about: what it does, with an example; printed by `--help`.

    Example:
        >>> parser = Parser("verify", "Recompute a report.")
        >>> parser.prog
        'lmia verify'
    """

    def __init__(self, command: str, about: str = "") -> None:
        super().__init__(
            prog=f"lmia {command}",
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse flags that cannot be read."""
        raise LmiaError(f"{self.prog}: {message}.", f"`{self.prog} --help` explains every option.")
