"""The quick look at a large JSON file finds what parsing it as a whole gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgad_lightning.annotations import json_objects, json_scan
from lgad_lightning.annotations.json_objects import JsonObjects, objects
from lgad_lightning.errors import LgadError

KEYS = st.sampled_from(["name", "id", 'a"b', "{", "}]", "\\", '\\"', "ü", "labels", ""])
TEXTS = st.text(st.sampled_from('ab"\\{}[],:/ü\n\ud7ff'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
FILES = st.lists(OBJECTS, max_size=6) | st.dictionaries(KEYS, VALUES | st.lists(OBJECTS, max_size=5), max_size=4)
STYLES = st.sampled_from(
    [{}, {"indent": 1}, {"indent": "\t"}, {"separators": (",", ":")}, {"separators": (" ,\r\n", " : ")}]
)


def restored(found: JsonObjects) -> Any:
    """The value of the file, put together from outline and objects."""

    def put(outline: Any) -> Any:
        if isinstance(outline, tuple):  # objects
            return [found.value(number, "an object") for number in range(*outline)]
        if isinstance(outline, dict):
            return {key: only(put(value)) if isinstance(value, tuple) else put(value) for key, value in outline.items()}
        if isinstance(outline, list):
            parts = [put(entry) if isinstance(entry, tuple) else [put(entry)] for entry in outline]
            return [entry for part in parts for entry in part]
        return outline

    return put(found.outline)


def only(values: list[Any]) -> Any:
    (value,) = values
    return value


@settings(max_examples=100)
@given(value=FILES, style=STYLES, ascii_only=st.booleans(), mark=st.booleans(), block=st.sampled_from([1, 5, 30, 1000]))
def test_outline_and_objects_are_the_file(
    value: Any, style: Any, ascii_only: bool, mark: bool, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.json"
    text = json.dumps(value, ensure_ascii=ascii_only, **style)
    path.write_bytes(b"\xef\xbb\xbf" * mark + text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_scan, "_BLOCK", block if block > 3 or not mark else 4)
        patch.setattr(json_objects, "_BLOCK", block)
        found = JsonObjects(path)
        assert restored(found) == value
        for entry in [found.outline, *(found.outline.values() if isinstance(found.outline, dict) else ())]:
            if (numbers := objects(entry)) is not None:
                each = [found.value(number, "an object") for number in numbers.tolist()]
                for key in ("name", "id"):
                    check_column(list(found.column(key, numbers, "object")), key, each)


def check_column(column: list[Any], key: str, each: list[dict[str, Any]]) -> None:
    """Whole numbers and texts are found, unless an object lacks the key that another one has twice."""
    assert len(column) == len(each)
    if all(json.dumps(one).count(f'"{key}"') == (key in one) for one in each):
        for one, other in zip(column, each, strict=True):
            value = other.get(key)
            if isinstance(value, str) or (type(value) is int and abs(value) < 10**18):
                assert one == value


@settings(max_examples=100)
@given(value=FILES, style=STYLES, block=st.sampled_from([1, 5, 30, 1000]), place=st.integers(0, 10_000), data=st.data())
def test_what_is_garbled_is_told_at_once_or_when_it_is_read(
    value: Any, style: Any, block: int, place: int, data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = json.dumps(value, **style)
    place %= len(text)
    spoilt = (
        text[:place] + data.draw(st.sampled_from(["", '"', "{", "}", "[", "]", ",", "\\", ":"])) + text[place + 1 :]
    )
    path = tmp_path_factory.getbasetemp() / "a.json"
    path.write_text(spoilt)
    try:
        expected = json.loads(spoilt)
    except ValueError:
        expected = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_scan, "_BLOCK", block)
        try:
            found = restored(JsonObjects(path))
        except LgadError as error:
            refused = str(error)
            found = None
        else:
            refused = ""
    assert found == expected or (found is None and "occurs twice" in refused)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [{}, {} {}]}', "Expecting ',' delimiter at byte 14"),
        ('{"a": [{"b": 1}, {"c": 2}, {"d": 3}], "e": nul}', "at byte 43"),
        ('{"a": {}, {}}', "not JSON"),
        ('{"a": {}, "a": {}}', "the key 'a' occurs twice"),
        ('[{"a": 1}, {"b": "}"]', "the object that begins at byte 11 has no end"),
        ('[{"a": "x}]', "the object that begins at byte 1 has no end"),
        ("[" * 5000, "not JSON"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LgadError, match=message):
        JsonObjects(write(tmp_path / "a.json", text))


def test_an_object_is_parsed_when_it_is_read(tmp_path: Path) -> None:
    found = JsonObjects(write(tmp_path / "a.json", '[{"a": 1}, {"a": nul}, {"a": 1, "a": 2}]'))
    assert found.value(0, "it") == {"a": 1}
    with pytest.raises(LgadError, match=r"it: not JSON"):
        found.value(1, "it")
    with pytest.raises(LgadError, match=r"it: the key 'a' occurs twice"):
        found.value(2, "it")


def test_values_of_a_key_that_occurs_twice_are_parsed(tmp_path: Path) -> None:
    records: list[Any] = [{"meta": {"id": 5}, "id": 1}, {"id": 2}, {"id": "\\\u00fc"}, {"id": None}, {"id": [3]}]
    found = JsonObjects(write(tmp_path / "a.json", json.dumps(records)))
    assert list(found.column("id", np.arange(5), "image")) == [1, 2, "\\\u00fc", None, [3]]


def test_a_file_of_other_values_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_scan, "_LARGEST_OUTLINE", 1000)
    with pytest.raises(LgadError, match="outside of objects: it holds no annotations"):
        JsonObjects(write(tmp_path / "a.json", json.dumps([1] * 1000)))
