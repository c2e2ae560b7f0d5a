"""The page of evidence says what the results say."""

import pytest

from lgad_lightning.errors import LgadError
from studies.page import BLOCK, fill
from studies.study import RESULTS, read_rows
from tests.conftest import CHECKOUT

EVIDENCE = (CHECKOUT / "docs" / "evidence.md").read_text(encoding="utf-8")


def test_the_tables_of_the_page_are_those_of_the_results() -> None:
    assert fill(EVIDENCE) == EVIDENCE, "run: python -m studies.page docs/evidence.md"


@pytest.mark.parametrize("study", ["aligned", "aligned_real", "generated", "lengths", "real"])
def test_no_arm_is_left_out_of_the_page(study: str) -> None:
    orders = [block[1].replace(",", " ") for block in BLOCK.finditer(EVIDENCE)]
    for condition, arm in {(row["condition"], row["arm"]) for row in read_rows(RESULTS / f"{study}.csv")}:
        if condition == "forward_long":
            continue  # one run, told in the text
        shown = [order for order in orders if order.startswith(f"{study} {condition} ") and f" {arm} " in order]
        assert shown, f"no table of {study} {condition} has {arm}"
        assert f"*{arm}*" in EVIDENCE or arm == "lgad", f"{arm} is not described"


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("generated erfnet_small", "must be like"),
        ("generated erfnet_small, keys: fps, arms: none, against: none", "the keys are f1"),
        ("generated erfnet_small, keys: f1, arms: nobody, against: none", "nobody, which generated has no runs of"),
    ],
)
def test_a_table_that_cannot_be_made_is_refused(order: str, message: str) -> None:
    with pytest.raises(LgadError, match=message):
        fill(f"text\n<!-- study: {order} -->\n\n<!-- end -->\n")
