"""What makes the site of docstrings."""

from fenced_docstrings import indented


def test_a_fenced_block_becomes_a_literal_block() -> None:
    lines = ["Reads", "```", "ROOT/**/a.jpg", "```", "and more."]
    assert indented(lines) == ["Reads", "", "::", "", "    ROOT/**/a.jpg", "", "and more."]


def test_other_lines_stay() -> None:
    assert indented(["Reads `files`.", "", "    code"]) == ["Reads `files`.", "", "    code"]
