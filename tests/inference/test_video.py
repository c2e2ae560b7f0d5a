from pathlib import Path

import cv2
import numpy as np
import pytest

from lgad_lightning.inference.video import VideoWriter, open_video
from tests.helpers.students import write_video


def test_names_may_have_colons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg takes what is before a colon for a protocol."""
    monkeypatch.chdir(tmp_path)
    path = Path("2024-05-01T10:00:00.mp4")
    with VideoWriter(path, 25.0, (64, 96)) as writer:
        writer.write(np.full((64, 96, 3), 90, np.uint8))
    assert open_video(str(path)).length == len(list(open_video(str(path)).frames())) == 1


def test_a_video_opens_with_opencv_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, the level of the log is set by functions of `cv2` itself."""
    path = write_video(tmp_path / "clip.avi", 2)
    levels: list[int] = []
    monkeypatch.delattr(cv2.utils, "logging", raising=False)
    monkeypatch.setattr(cv2, "getLogLevel", lambda: 3, raising=False)
    monkeypatch.setattr(cv2, "setLogLevel", levels.append, raising=False)
    assert open_video(str(path)).length == 2
    assert levels == [0, 3]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to("real.mp4")
    with VideoWriter(link, 25.0, (64, 96)) as writer:
        writer.write(np.full((64, 96, 3), 90, np.uint8))
    assert link.is_symlink()
    assert open_video(str(tmp_path / "real.mp4")).length == 1
