"""The official `openai` SDK against `brownout serve`: python check_openai_sdk.py BROWNOUT

Prints a line for every check; ends with 1 if one does not hold. Reaches nothing but loopback.
"""

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import openai
from openai import OpenAI
from world import CALM, Process, World

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "[prompt 17]"}]}]
WHOLE = "t17.0 t17.1 t17.2 t17.3 t17.4"
"""What the simulated provider says to that."""

BREAKING = ["clean_eof", "fin_without_terminator", "reset_mid_stream", "malformed_frame", "error_event", "missing_done"]


def client(service: Process, retries: int = 0) -> OpenAI:
    return OpenAI(api_key="sk-anything", base_url=f"{service.url}/v1", max_retries=retries, timeout=20)


def refusal(kind: type, call) -> openai.APIStatusError:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def a_whole_answer(world: World) -> None:
    with world.provider() as provider, world.service(provider) as service:
        answer = client(service).chat.completions.create(
            model="gpt-4o-mini", messages=QUESTION, temperature=0.2, top_p=0.9, stop=["END"], user="u", seed=7, n=1,
            max_completion_tokens=50,
        )
        assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")
        assert abs(answer.created - time.time()) < 60
        choice = answer.choices[0]
        assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", WHOLE, "stop")
        assert answer.usage.completion_tokens == 5
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5


def a_stream(world: World) -> None:
    with world.provider() as provider, world.service(provider) as service:
        stream = client(service).chat.completions.create(
            model="default", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        text, finish, usage = "", None, None
        for chunk in stream:
            assert chunk.object == "chat.completion.chunk"
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        assert (text, finish, usage.completion_tokens) == (WHOLE, "stop", 5)


def the_streaming_helper(world: World) -> None:
    with world.provider() as provider, world.service(provider) as service:
        with client(service).chat.completions.stream(model="primary", messages=QUESTION) as events:
            text = "".join(event.delta for event in events if event.type == "content.delta")
            final = events.get_final_completion()
        assert text == final.choices[0].message.content == WHOLE


def the_models(world: World) -> None:
    with world.provider() as provider, world.service(provider) as service:
        assert {model.id for model in client(service).models.list()} == {"default", "gpt-4o-mini", "primary"}


def errors_have_their_classes(world: World) -> None:
    with world.provider() as provider, world.service(provider) as service:
        create = client(service).chat.completions.create
        unknown = refusal(openai.NotFoundError, lambda: create(model="gpt-99", messages=QUESTION))
        assert unknown.code == "model_not_found", unknown.body
        several = refusal(openai.UnprocessableEntityError, lambda: create(model="default", messages=QUESTION, n=2))
        assert several.param == "n", several.body
    limited = CALM + '[[provider.fault]]\nkind = "status"\nstatus = 429\nretry_after = "1s"\nfirst = 1\n'
    with world.provider(limited) as provider, world.service(provider, 'preset = "naive"\nretry = { max_attempts = 1 }') as service:
        create = client(service).chat.completions.create
        error = refusal(openai.RateLimitError, lambda: create(model="default", messages=QUESTION))
        assert error.response.headers["retry-after"] == "1", error.response.headers
        # The SDK's own retries read what it is told.
        assert client(service, retries=2).chat.completions.create(model="default", messages=QUESTION).choices


def a_failure_in_the_middle_is_raised(world: World) -> None:
    for kind in BREAKING:
        script = CALM + f'[[provider.fault]]\nkind = "{kind}"\n'
        with world.provider(script) as provider, world.service(provider) as service:
            text = ""
            try:
                for chunk in client(service).chat.completions.create(model="default", messages=QUESTION, stream=True):
                    text += chunk.choices[0].delta.content or ""
                    assert not chunk.choices[0].finish_reason, f"{kind}: it looks finished"
            except openai.APIError as error:
                assert text, f"{kind}: nothing came before it"
                print(f"         {kind}: {error.message}")
            else:
                raise AssertionError(f"{kind}: {text!r} passed for a whole answer")


CHECKS = [
    a_whole_answer, a_stream, the_streaming_helper, the_models, errors_have_their_classes,
    a_failure_in_the_middle_is_raised,
]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: check_openai_sdk.py BROWNOUT", file=sys.stderr)
        return 2
    for name in [name for name in os.environ if name.startswith("OPENAI_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        world = World(Path(sys.argv[1]).resolve(), Path(scratch))
        for check in CHECKS:
            begun, name = time.monotonic(), check.__name__.replace("_", " ")
            try:
                check(world)
            except Exception:
                failed += 1
                print(f"FAILED   {name}\n{traceback.format_exc()}", flush=True)
            else:
                print(f"{time.monotonic() - begun:5.1f} s  {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
