"""Fills the tables of a page from the results of the studies.

    python -m studies.page docs/evidence.md

A table stands between two comments. The first says what it shows, as the arguments of `studies.tables.table` do:

    <!-- study: generated erfnet_small, keys: f1, arms: none lgad control, against: none control -->
    <!-- end -->
"""

import argparse
import re
import sys
from pathlib import Path

from lgad_lightning import LgadError
from lgad_lightning.longwork.whole_file import whole_file
from studies.study import read_study
from studies.tables import FIGURES, figures_of, table

STUDIES = Path(__file__).parent
BLOCK = re.compile(r"<!-- study: (.*?) -->\n.*?<!-- end -->", re.DOTALL)
ORDER = re.compile(r"(\S+) (\S+), keys: ([^,]+), arms: ([^,]+), against: ([^,]+)")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="+", metavar="PAGE.md")
    try:
        for path in parser.parse_args().pages:
            filled = fill(path.read_text(encoding="utf-8"))
            with whole_file(path) as part:
                part.write_text(filled, encoding="utf-8")
    except (LgadError, OSError) as error:
        sys.exit(f"studies: {error}")


def fill(page: str) -> str:
    """A page with its tables as the results are now.

    Args:
        page: Its Markdown.

    Raises:
        LgadError: If a comment asks for what the results do not have.
    """
    return BLOCK.sub(lambda block: f"<!-- study: {block[1]} -->\n\n{table_of(block[1])}\n\n<!-- end -->", page)


def table_of(order: str) -> str:
    """The table that a comment asks for."""
    if not (found := ORDER.fullmatch(order)):
        raise LgadError(f"{order!r} must be like 'STUDY CONDITION, keys: KEYS, arms: ARMS, against: ARMS'.")
    study = read_study(STUDIES / f"{found[1]}.yaml")
    keys, arms, against = (found[number].split() for number in (3, 4, 5))
    if unknown := [key for key in keys if key not in FIGURES]:
        raise LgadError(f"{order!r} asks for {', '.join(unknown)}; the keys are {', '.join(FIGURES)}.")
    for key in keys:
        if missing := [arm for arm in [*arms, *against] if arm not in figures_of(study, found[2], key)]:
            raise LgadError(f"{order!r} asks for {', '.join(missing)}, which {found[1]} has no runs of.")
    return "\n".join(table(study, found[2], keys, arms, against))


if __name__ == "__main__":
    main()
