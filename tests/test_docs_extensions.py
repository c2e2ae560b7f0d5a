"""How docstrings are translated for the site."""

from fenced_docstrings import translated


def test_a_fenced_block_becomes_a_literal_block() -> None:
    lines = ["Reads", "```", "ROOT/**/a.jpg", "```", "and more."]
    assert translated(lines) == ["Reads", "", "::", "", "    ROOT/**/a.jpg", "", "and more."]


def test_other_lines_stay() -> None:
    assert translated(["Reads `files`.", "", "    code"]) == ["Reads `files`.", "", "    code"]


def test_the_ending_of_a_file_becomes_literal_text() -> None:
    assert translated(["An `.npz` of ``.png``, see `draw`."]) == ["An ``.npz`` of ``.png``, see `draw`."]
