from importlib.metadata import version

import lgad_lightning


def test_the_version_is_that_of_the_installed_package() -> None:
    assert lgad_lightning.__version__ == version("lgad-lightning")
