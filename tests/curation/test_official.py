from lgad_lightning.curation.official import compare_counts


def test_stale_test_annotations_are_known_by_their_number() -> None:
    ((group, detail),) = compare_counts({"test": (34_680, 92_946)}, {"test": (34_680, 104_886)})
    assert group == "test"
    assert "before April 2018" in detail
