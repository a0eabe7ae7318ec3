"""Writes config_template.py and docs/settings.md from the declarations: `make docs`."""

import json
import pathlib
import textwrap
from typing import Any

from settings import declarations, hyperparameters

ROOT = pathlib.Path(__file__).resolve().parents[2]
_WIDTH = 120

_TEMPLATE_HEAD = '''"""The settings. Copy this file to config.py and edit the copy.

Settings that config.py leaves out have the values below. Settings describe your machine, your data and the length of
each step; relative paths start at the folder of this file. What changes the quality of the model is a hyperparameter:
see HYPERPARAMETERS. This file is generated (`make docs`).
"""
'''

_PAGE_HEAD = """# Settings and hyperparameters

This page is generated from the declarations in `src/settings` (`make docs`).

## Settings

Set them in `config.py` (a copy of `config_template.py`, or only the lines you change). Every step validates the whole
file before it starts. "Fixed for" names the work that can only be resumed with the same value.
"""

_HYPERPARAMETERS_HEAD = """
## Hyperparameters

Set them in `HYPERPARAMETERS`; narrow what step 2 searches in `EXPLORATION_SEARCH_SPACE`.
"""


def template() -> str:
    """The text of config_template.py."""
    blocks = [_TEMPLATE_HEAD]
    for name, known in declarations.DECLARATIONS.items():
        if known.section:
            blocks.append(f"# --- {known.section} ".ljust(_WIDTH, "-") + "\n")
        comment = textwrap.fill(
            known.meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
        )
        comment += f"\n# Example: {known.example}" if known.example else ""
        blocks.append(f"{comment}\n{name} = {_literal(known.default)}\n")
    return "\n".join(blocks)


def page() -> str:
    """The text of docs/settings.md."""
    lines = [_PAGE_HEAD]
    for name, known in declarations.DECLARATIONS.items():
        if known.section:
            lines += [
                f"\n### {known.section}\n",
                "| setting | default | valid values | meaning | fixed for |",
                "|---|---|---|---|---|",
            ]
        cells = (
            f"`{name}`",
            f"`{_literal(known.default)}`",
            known.rule.description,
            known.meaning,
            ", ".join(known.fixed_for),
        )
        lines.append(_row(cells))
    lines += [
        _HYPERPARAMETERS_HEAD,
        "| hyperparameter | default | valid values | searched in step 2 | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, declared in hyperparameters.DECLARATIONS.items():
        cells = (
            f"`{name}`",
            f"`{_literal(declared.default)}`",
            declared.rule.description,
            _searched(declared.search),
            declared.meaning,
        )
        lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _literal(value: Any) -> str:
    # Double quotes, as in the documentation's examples.
    return json.dumps(value) if isinstance(value, str | dict) else repr(value)


def _searched(search: hyperparameters.Choices | hyperparameters.Range) -> str:
    if isinstance(search, hyperparameters.Choices):
        return ", ".join(_literal(value) for value in search.values)
    steps = f", step {search.step:g}" if search.step else ""
    return f"{search.low:g} to {search.high:g}{steps}{', logarithmic' if search.log else ''}"


def main() -> None:
    """Writes both files."""
    (ROOT / "config_template.py").write_text(template(), encoding="utf-8")
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "settings.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
