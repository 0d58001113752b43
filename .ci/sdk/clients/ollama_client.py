"""The `ollama` SDK: /api/chat.

It reports neither cached nor thinking tokens: the prompt's count leaves the cached ones out, the answer's includes what
was thought.
"""

import ollama

from words import PARAMETERS, TOOL, TOOL_DOES, TOOL_RESULT, Ask, City, Price, Reply

TOOLS = [{"type": "function", "function": {"name": TOOL, "description": TOOL_DOES, "parameters": PARAMETERS}}]


class OllamaClient:
    name = "ollama"
    model, other_model = "llama3.2", "qwen3"
    price = Price(prompt=0, cached=0, cache_write=0, completion=0)
    stop, tool_stop, length_stop = "stop", "stop", "length"

    def client(self, url: str, ask: Ask) -> ollama.Client:
        return ollama.Client(host=url, timeout=ask.timeout, headers=ask.headers)

    def call(self, url: str, ask: Ask):
        return self.client(url, ask).chat(**self.body(ask))

    def whole(self, url: str, ask: Ask) -> Reply:
        reply = Reply()
        self._add(self.call(url, ask), reply)
        return reply

    def stream(self, url: str, ask: Ask, reply: Reply) -> None:
        for line in self.client(url, ask).chat(stream=True, **self.body(ask)):
            self._add(line, reply)

    def after_tool(self, url: str, ask: Ask) -> tuple[Reply, Reply]:
        first, then, body = Reply(), Reply(), self.body(ask)
        called = self.call(url, ask)
        result = {"role": "tool", "tool_name": TOOL, "content": TOOL_RESULT}
        body["messages"] = [*body["messages"], called.message, result]
        self._add(called, first)
        self._add(self.client(url, ask).chat(**body), then)
        return first, then

    def models(self, url: str) -> list[str]:
        return [model.model for model in self.client(url, Ask(0)).list().models]

    def body(self, ask: Ask) -> dict:
        messages = [{"role": "system", "content": ask.system}] if ask.system else []
        body = {"model": ask.model or self.model, "messages": [*messages, {"role": "user", "content": ask.text}]}
        if ask.tool:
            body["tools"] = TOOLS
        if ask.schema:
            body["format"] = City.model_json_schema()
        if ask.max_tokens is not None:
            body["options"] = {"num_predict": ask.max_tokens}
        return body

    def _add(self, answer: ollama.ChatResponse, reply: Reply) -> None:
        reply.text += answer.message.content or ""
        for call in answer.message.tool_calls or []:
            reply.tool = (call.function.name, dict(call.function.arguments))
        if answer.done:
            reply.finish = answer.done_reason
            reply.usage = {"uncached_tokens": answer.prompt_eval_count or 0, "generated": answer.eval_count or 0}
