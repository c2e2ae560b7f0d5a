"""Lanes in an image by ONNX Runtime: numpy and onnxruntime, nothing else.

    lgad-export best.ckpt --with preprocessing,decoding --out lanes.onnx
    python onnx_runtime.py lanes.onnx frame.ppm

The image is a binary PPM (P6), since nothing else can be read without a library; `ffmpeg -i frame.jpg frame.ppm`
makes one. Any (height, width, 3) array of uint8, blue-green-red, does as well.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def read_ppm(path):
    """The pixels of a binary PPM file, blue-green-red."""
    content = Path(path).read_bytes()
    kind, width, height, largest = content.split(maxsplit=4)[:4]
    if kind != b"P6" or largest != b"255":
        raise SystemExit(f"{path} is no binary PPM with 8 bits")
    pixels = np.frombuffer(content[-3 * int(width) * int(height) :], np.uint8)
    return pixels.reshape(int(height), int(width), 3)[..., ::-1]


def find_lanes(session, frame):
    """The lanes of a frame: slot, existence, and points (x, y, score) in pixels."""
    about = session.get_modelmeta().custom_metadata_map
    names, rows = json.loads(about["class_names"]), json.loads(about["rows"])
    columns, scores, valid, existence = (output[0] for output in session.run(None, {"frame": frame}))
    return [
        {
            "slot": names[slot + 1],
            "existence": float(existence[slot]),
            "points": [
                (float(x), y, float(score))
                for x, y, score, there in zip(columns[slot], rows, scores[slot], valid[slot])
                if there
            ],
        }
        for slot in range(len(columns))
        if valid[slot].any()
    ]


if __name__ == "__main__":
    model, image = sys.argv[1:]
    for lane in find_lanes(onnxruntime.InferenceSession(model), np.ascontiguousarray(read_ppm(image))):
        print(json.dumps(lane))
