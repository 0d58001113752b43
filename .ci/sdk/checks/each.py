"""The same check for several SDKs, named by SDK and by what its docstring says must hold."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial


def each(sdks: Iterable, *functions: Callable) -> Iterator[tuple[str, Callable]]:
    for client in sdks:
        for function in functions:
            yield f"{client.name}: {function.__doc__}", partial(function, client=client)
