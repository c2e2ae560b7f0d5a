from tests.data.conftest import roads

__all__ = ["roads"]
