"""The `anthropic` SDK: Messages."""

import anthropic

from words import PARAMETERS, TOOL, TOOL_DOES, TOOL_RESULT, Ask, City, Price, Reply

TOOLS = [{"name": TOOL, "description": TOOL_DOES, "input_schema": PARAMETERS}]


class AnthropicClient:
    name = "anthropic"
    model, other_model = "claude-haiku-4-5", "claude-sonnet-5"
    price = Price(prompt=1_000_000, cached=100_000, cache_write=1_250_000, completion=5_000_000)
    stop, tool_stop, length_stop = "end_turn", "tool_use", "max_tokens"

    def client(self, url: str, ask: Ask) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            api_key="sk-check", base_url=url, max_retries=ask.retries, timeout=ask.timeout, default_headers=ask.headers
        )

    def call(self, url: str, ask: Ask):
        messages = self.client(url, ask).messages
        if ask.schema:
            return messages.parse(output_format=City, **self.body(ask))
        return messages.create(**self.body(ask))

    def whole(self, url: str, ask: Ask) -> Reply:
        return self._read(self.call(url, ask))

    def stream(self, url: str, ask: Ask, reply: Reply) -> None:
        schema = {"output_format": City} if ask.schema else {}
        with self.client(url, ask).messages.stream(**schema, **self.body(ask)) as events:
            for text in events.text_stream:
                reply.text += text
            final = self._read(events.get_final_message())
        reply.finish, reply.usage, reply.tool, reply.city = final.finish, final.usage, final.tool, final.city

    def after_tool(self, url: str, ask: Ask) -> tuple[Reply, Reply]:
        first = self.call(url, ask)
        result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": TOOL_RESULT}
        body = self.body(ask)
        turns = [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        body["messages"] = body["messages"] + turns
        return self._read(first), self._read(self.client(url, ask).messages.create(**body))

    def models(self, url: str) -> list[str]:
        client = self.client(url, Ask(0))
        assert client.models.retrieve(self.model).id == self.model
        return [model.id for model in client.models.list()]

    def body(self, ask: Ask) -> dict:
        limit = 256 if ask.max_tokens is None else ask.max_tokens
        body = {
            "model": ask.model or self.model,
            "max_tokens": limit,
            "messages": [{"role": "user", "content": ask.text}],
        }
        if ask.system:
            body["system"] = [{"type": "text", "text": ask.system, "cache_control": {"type": "ephemeral"}}]
        if ask.tool:
            body["tools"] = TOOLS
        return body

    def _read(self, message) -> Reply:
        usage = message.usage
        details = usage.output_tokens_details
        reply = Reply(finish=message.stop_reason)
        reply.usage = {
            "prompt_tokens": usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens,
            "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens,
            "generated": usage.output_tokens,
            "reasoning": details.thinking_tokens if details else 0,
        }
        for block in message.content:
            if block.type == "text":
                reply.text += block.text
            elif block.type == "tool_use":
                reply.tool = (block.name, block.input)
        parsed = getattr(message, "parsed_output", None)
        reply.city = parsed.city if parsed else None
        return reply
