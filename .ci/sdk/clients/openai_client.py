"""The `openai` SDK: Chat Completions."""

import json

import openai

from words import PARAMETERS, TOOL, TOOL_DOES, TOOL_RESULT, Ask, City, Price, Reply

TOOLS = [{"type": "function", "function": {"name": TOOL, "description": TOOL_DOES, "parameters": PARAMETERS}}]


class OpenAiClient:
    name = "openai"
    model, other_model = "gpt-4o-mini", "gpt-4o"
    price = Price(prompt=150_000, cached=75_000, cache_write=150_000, completion=600_000)
    stop, tool_stop, length_stop = "stop", "tool_calls", "length"

    def client(self, url: str, ask: Ask, key: str = "sk-check") -> openai.OpenAI:
        return openai.OpenAI(
            api_key=key, base_url=url, max_retries=ask.retries, timeout=ask.timeout, default_headers=ask.headers
        )

    def call(self, url: str, ask: Ask, key: str = "sk-check"):
        completions = self.client(url, ask, key).chat.completions
        if ask.schema:
            return completions.parse(response_format=City, **self.body(ask))
        return completions.create(**self.body(ask))

    def whole(self, url: str, ask: Ask, key: str = "sk-check") -> Reply:
        return self._read(self.call(url, ask, key))

    def stream(self, url: str, ask: Ask, reply: Reply, key: str = "sk-check") -> None:
        completions = self.client(url, ask, key).chat.completions
        options = {"stream_options": {"include_usage": True}}
        if ask.schema:
            with completions.stream(response_format=City, **options, **self.body(ask)) as events:
                for event in events:
                    if event.type == "content.delta":
                        reply.text += event.delta
                final = self._read(events.get_final_completion())
            reply.finish, reply.usage, reply.city = final.finish, final.usage, final.city
            return
        arguments: list[str] = []
        for chunk in completions.create(stream=True, **options, **self.body(ask)):
            if chunk.usage:
                reply.usage = self._usage(chunk.usage)
            for choice in chunk.choices:
                reply.text += choice.delta.content or ""
                reply.finish = choice.finish_reason or reply.finish
                for call in choice.delta.tool_calls or []:
                    name = call.function.name or (reply.tool or [None])[0]
                    arguments.append(call.function.arguments or "")
                    reply.tool = (name, {})
        if reply.tool:
            reply.tool = (reply.tool[0], json.loads("".join(arguments)))

    def after_tool(self, url: str, ask: Ask) -> tuple[Reply, Reply]:
        first = self.call(url, ask)
        message = first.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": TOOL_RESULT}
        body = self.body(ask)
        body["messages"] = [*body["messages"], message, result]
        return self._read(first), self._read(self.client(url, ask).chat.completions.create(**body))

    def models(self, url: str) -> list[str]:
        client = self.client(url, Ask(0))
        assert client.models.retrieve(self.model).id == self.model
        return [model.id for model in client.models.list()]

    def body(self, ask: Ask) -> dict:
        messages = [{"role": "system", "content": ask.system}] if ask.system else []
        body = {"model": ask.model or self.model, "messages": [*messages, {"role": "user", "content": ask.text}]}
        if ask.tool:
            body["tools"] = TOOLS
        if ask.max_tokens is not None:
            body["max_completion_tokens"] = ask.max_tokens
        return body

    def _read(self, completion) -> Reply:
        choice = completion.choices[0]
        reply = Reply(choice.message.content or "", choice.finish_reason, self._usage(completion.usage))
        if choice.message.tool_calls:
            function = choice.message.tool_calls[0].function
            reply.tool = (function.name, json.loads(function.arguments))
        if getattr(choice.message, "parsed", None):
            reply.city = choice.message.parsed.city
        return reply

    def _usage(self, usage) -> dict[str, int]:
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
        return {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.prompt_tokens_details.cached_tokens,
            "generated": usage.completion_tokens,
            "reasoning": usage.completion_tokens_details.reasoning_tokens,
        }
