"""Scripts for `brownout provider`, as text."""


def provider(client, *blocks: str, **keys: str) -> str:
    """One provider that the client can talk to: quick, 12 words to an answer.

    `keys` are TOML values that replace or add; `blocks` come behind it, such as `fault(...)`.
    """
    known = {
        "name": '"primary"',
        "dialect": f'"{client.name}"',
        "model": f'"{client.model}"',
        "first_token": '"20ms"',
        "inter_token": '"1ms"',
        "output_tokens": "12",
    }
    lines = [f"{key} = {value}" for key, value in (known | keys).items()]
    return "\n".join(["[[provider]]", *lines, *blocks, ""])


def fault(kind: str, case: str | None = None, **keys: str) -> str:
    """A fault that concerns requests of this `case`, or all."""
    lines = [f"{key} = {value}" for key, value in keys.items()]
    scope = [f'header = {{ name = "x-case", value = "{case}" }}'] if case else []
    return "\n".join(["", "[[provider.fault]]", f'kind = "{kind}"', *lines, *scope])
