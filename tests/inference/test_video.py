from pathlib import Path

import cv2
import pytest

from lgad_lightning.inference.video import open_video
from tests.helpers.students import write_video


def test_a_video_opens_with_opencv_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, the level of the log is set by functions of `cv2` itself."""
    path = write_video(tmp_path / "clip.avi", 2)
    levels: list[int] = []
    monkeypatch.delattr(cv2.utils, "logging", raising=False)
    monkeypatch.setattr(cv2, "getLogLevel", lambda: 3, raising=False)
    monkeypatch.setattr(cv2, "setLogLevel", levels.append, raising=False)
    assert open_video(str(path)).length == 2
    assert levels == [0, 3]
