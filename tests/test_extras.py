import sys
from pathlib import Path

import pytest

from lgad_lightning.errors import LgadError
from lgad_lightning.extras import import_extra


def test_a_module_is_imported() -> None:
    assert import_extra("json.decoder", "report", "A page") is sys.modules["json.decoder"]


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(LgadError) as caught:
        import_extra("no_such_library.part", "report", "A page")
    told = str(caught.value)
    assert told == 'A page needs no_such_library, which is not installed: pip install "lgad-lightning[report]"'


def test_what_a_library_itself_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_part")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LgadError, match="needs no_such_part"):
        import_extra("half_installed", "zoo", "A network")
