"""The pages of `lgad-report` in a real browser."""

import re
from pathlib import Path

import pytest

from lgad_lightning.reporting.run import read_run
from lgad_lightning.reporting.run_page import run_page
from tests.browser.conftest import CURVE, SCREENSHOTS, Open
from tests.reporting.conftest import Make

pytestmark = pytest.mark.browser

OVERFLOWING = """
    [...document.querySelectorAll("body *")]
        .filter((one) => !one.closest(".wide, nav, svg, .js-plotly-plot"))
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.outerHTML.slice(0, 80))
"""


@pytest.fixture(params=["run_file", "comparison_file"])
def any_file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_a_page_loads_in_silence_and_alone_and_fits(visit: Open, any_file: Path, look: str) -> None:
    width = 400 if look == "phone" else 1280
    seen = visit(any_file, width=width, dark=look == "dark")
    for picture in seen.page.query_selector_all("img:visible"):
        picture.scroll_into_view_if_needed()
    seen.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    seen.page.screenshot(path=SCREENSHOTS / f"{any_file.stem}-{look}.png", full_page=True)
    assert seen.messages == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [any_file.as_uri()]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.evaluate(OVERFLOWING) == []


def test_the_tables_hold_the_figures(visit: Open, run_file: Path, comparison_file: Path) -> None:
    page = visit(run_file).page
    assert page.inner_text("#figures tr.total").split() == ["total", "3", "0.7500"]
    assert "0.750" in page.inner_text(".tiles")
    assert "All 8 test frames" in page.inner_text("#lanes")
    cells = visit(comparison_file).page.inner_text("#comparison tbody tr:last-child").split("\t")
    assert "+0.1067 *" in [cell.strip() for cell in cells]


def test_pointing_at_a_curve_reads_it(visit: Open, run_file: Path) -> None:
    page = visit(run_file).page
    plot = page.locator(".chart", has_text="Validation, lanes").locator(".plot")
    plot.scroll_into_view_if_needed()
    plot.locator(".nsewdrag").hover()
    plot.locator(".hoverlayer text").first.wait_for(state="attached")
    text = plot.locator(".hoverlayer").text_content()
    shown = [step for step, value in CURVE.items() if f"{value:.3g}" in text and str(step) in text]
    assert shown


def test_the_switch_shows_one_stage(visit: Open, run_file: Path) -> None:
    page = visit(run_file).page
    assert page.locator(".maps:visible").get_attribute("data-stage") == "1"
    page.get_by_text("lgad stage1").click()
    assert page.locator(".maps:visible").get_attribute("data-stage") == "0"
    page.keyboard.press("ArrowRight")
    assert page.locator(".maps:visible").get_attribute("data-stage") == "1"


def test_lines_can_be_left_out(visit: Open, run_file: Path) -> None:
    page = visit(run_file).page
    shown = "[...document.querySelectorAll('polyline')].filter((one) => getComputedStyle(one).display !== 'none')"
    kinds = f"[...new Set({shown}.map((one) => one.classList[0]))].sort()"
    assert page.evaluate(kinds) == ["found", "missed", "right", "wrong"]
    page.get_by_label("annotated").uncheck()
    assert page.evaluate(kinds) == ["right", "wrong"]
    page.get_by_label("predicted").uncheck()
    assert page.evaluate(kinds) == []


def test_light_and_dark_can_be_switched(visit: Open, run_file: Path) -> None:
    page = visit(run_file).page
    colours = "[getComputedStyle(document.body).backgroundColor, document.querySelector('.xtick text').style.fill]"
    light = page.evaluate(colours)
    page.click("#theme")
    dark = page.evaluate(colours)
    assert all(one != other for one, other in zip(light, dark, strict=True))
    page.click("#theme")
    assert page.evaluate(colours) == light


def test_the_command_can_be_copied(visit: Open, run_file: Path) -> None:
    page = visit(run_file).page
    page.click(".copy")
    page.locator(
        ".copy", has_text=re.compile("^(Copied|Selected)$")
    ).wait_for()  # the page allows no script for waiting


def test_a_page_can_be_printed(visit: Open, any_file: Path) -> None:
    page = visit(any_file, dark=True).page
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def test_texts_of_users_run_nothing(visit: Open, make: Make, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    folder = make("run", 0.5, note=hostile)
    log = folder / "student" / "version_0" / "metrics.csv"
    log.write_text(
        f'step,"<b>x</b><a href=javascript:alert(1)>y</a>/loss","lgad/agreement/{hostile}"\n0,0.5,1\n9,1,1\n'
    )
    (tmp_path / "page.html").write_bytes(run_page(read_run(folder), hostile))
    seen = visit(tmp_path / "page.html")
    assert seen.messages == []
    assert seen.page.locator("img, .plot a, .plot b").count() == 0
