from tests.data.conftest import packed, roads

__all__ = ["packed", "roads"]
