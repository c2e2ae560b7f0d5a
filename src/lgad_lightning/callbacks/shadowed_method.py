"""Replaces a method of one object, and can be removed again."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any


class ShadowedMethod:
    """Wraps `owner.name` on this one object until `remove` is called. Several shadows of one method may overlap.

    A copy or a pickle of the owner has the original method, not the shadow.

    Args:
        owner: The object whose method is replaced. Its class is not changed.
        name: The method's name.
        around: Called as `around(method, *args, **kwargs)` instead of the method. It may call the method.

    Example:
        >>> class Greeter:
        ...     def greet(self, name):
        ...         return f"hello {name}"
        >>> greeter = Greeter()
        >>> shadow = ShadowedMethod(greeter, "greet", lambda greet, name: greet(name).upper())
        >>> greeter.greet("you")
        'HELLO YOU'
        >>> shadow.remove()
        >>> greeter.greet("you"), vars(greeter)
        ('hello you', {})
    """

    def __init__(self, owner: object, name: str, around: Callable[..., Any]) -> None:
        self._owner = owner
        self._name = name
        self._around = around
        self._was_own = name in vars(owner)
        self._inner: Callable[..., Any] = getattr(owner, name)
        update_wrapper(self, self._inner, updated=())
        # Lightning unwraps one level and needs a function with `__code__` there.
        self.__wrapped__ = inspect.unwrap(self._inner)
        setattr(owner, name, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `around` with the wrapped method."""
        return self._around(self._inner, *args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        inner: Any = self._inner
        was_own = self._was_own
        while isinstance(inner, ShadowedMethod):
            inner, was_own = inner._inner, inner._was_own
        return (_same, (inner,)) if was_own else (getattr, (self._owner, self._name))  # the method of the class

    def remove(self) -> None:
        """Remove the shadow. Shadows around it stay. A second call does nothing."""
        outer = vars(self._owner).get(self._name)
        if outer is self:
            if self._was_own:
                setattr(self._owner, self._name, self._inner)
            else:
                delattr(self._owner, self._name)
            return
        while isinstance(outer, ShadowedMethod):
            if outer._inner is self:
                outer._inner, outer._was_own = self._inner, self._was_own
                return
            outer = outer._inner


def _same(method: Callable[..., Any]) -> Callable[..., Any]:
    return method
