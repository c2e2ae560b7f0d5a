from lgad_lightning.cache import fingerprint


def test_fingerprints_tell_descriptions_apart() -> None:
    assert fingerprint({"lr": 0.1, "size": [1, 2]}) == fingerprint({"size": [1, 2], "lr": 0.1})
    assert fingerprint({"lr": 0.1}) != fingerprint({"lr": 0.2})
