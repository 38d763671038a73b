"""Write the table of what goes together, emjax/model/capabilities.py, into docs/how-to-choose.md.

python docs/capability_table.py    `make structure` does this
"""

from pathlib import Path

from emjax.model.capabilities import ASKED, CAPABILITIES, PARTS

PAGE = Path(__file__).resolve().parent / "how-to-choose.md"
BEGIN, END = "<!-- what goes together -->\n", "<!-- end of what goes together -->"
SOURCES = ("shards", "cells")  # parts too, for what is asked of votes there


def table() -> str:
    """One row per part, one column per thing to ask; a number where they do not go together."""
    reasons: dict[str, int] = {}
    lines = ["| | " + " | ".join(ASKED) + " |", "|---" * (len(ASKED) + 1) + "|"]
    for part in (*PARTS, *SOURCES):
        cells = []
        for asked in ASKED:
            reason = CAPABILITIES.get((part, asked), CAPABILITIES.get((asked, part)))
            if part == asked or {part, asked} <= {*SOURCES}:
                cells.append("–")
            elif reason is None:
                cells.append("yes")
            else:
                general = reason.replace(f"{part} strengths", "such strengths")
                cells.append(f"({reasons.setdefault(general, len(reasons) + 1)})")
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    notes = [f"{number}. {reason[0].upper()}{reason[1:]}" for reason, number in reasons.items()]
    return "\n".join([*lines, "", *notes, ""])


def with_table(page: str) -> str:
    """The page with the table between its marks replaced."""
    before, mark, rest = page.partition(BEGIN)
    if not mark:
        raise SystemExit(f"{PAGE.name} has no place for the table: add the lines {BEGIN.strip()} and {END}")
    return f"{before}{mark}{table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
