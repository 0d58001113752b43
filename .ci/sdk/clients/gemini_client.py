"""The `google-genai` SDK: generateContent and streamGenerateContent."""

from google import genai
from google.genai import types

from words import PARAMETERS, TOOL, TOOL_DOES, TOOL_RESULT, Ask, City, Price, Reply

DECLARATION = types.FunctionDeclaration(name=TOOL, description=TOOL_DOES, parameters_json_schema=PARAMETERS)


class GeminiClient:
    name = "gemini"
    model, other_model = "gemini-2.5-flash", "gemini-2.5-pro"
    price = Price(prompt=300_000, cached=30_000, cache_write=300_000, completion=2_500_000)
    stop, tool_stop, length_stop = "STOP", "STOP", "MAX_TOKENS"

    def client(self, url: str, ask: Ask) -> genai.Client:
        options = types.HttpOptions(base_url=url, timeout=int(ask.timeout * 1000), headers=ask.headers)
        return genai.Client(api_key="check", http_options=options)

    def call(self, url: str, ask: Ask):
        with self.client(url, ask) as client:
            return client.models.generate_content(**self.body(ask))

    def whole(self, url: str, ask: Ask) -> Reply:
        reply = Reply()
        self._add(self.call(url, ask), reply)
        return reply

    def stream(self, url: str, ask: Ask, reply: Reply) -> None:
        with self.client(url, ask) as client:
            for chunk in client.models.generate_content_stream(**self.body(ask)):
                self._add(chunk, reply)

    def after_tool(self, url: str, ask: Ask) -> tuple[Reply, Reply]:
        first, then, body = Reply(), Reply(), self.body(ask)
        with self.client(url, ask) as client:
            called = client.models.generate_content(**body)
            result = types.Part.from_function_response(name=TOOL, response={"result": TOOL_RESULT})
            asked = types.Content(role="user", parts=[types.Part(text=ask.text)])
            body["contents"] = [asked, called.candidates[0].content, types.Content(role="user", parts=[result])]
            self._add(called, first)
            self._add(client.models.generate_content(**body), then)
        return first, then

    def models(self, url: str) -> list[str]:
        with self.client(url, Ask(0)) as client:
            assert client.models.get(model=self.model).name == f"models/{self.model}"
            return [model.name.removeprefix("models/") for model in client.models.list()]

    def body(self, ask: Ask) -> dict:
        config = types.GenerateContentConfig(system_instruction=ask.system, max_output_tokens=ask.max_tokens)
        if ask.tool:
            config.tools = [types.Tool(function_declarations=[DECLARATION])]
        if ask.schema:
            config.response_mime_type, config.response_schema = "application/json", City
        return {"model": ask.model or self.model, "contents": ask.text, "config": config}

    def _add(self, response: types.GenerateContentResponse, reply: Reply) -> None:
        for candidate in response.candidates or []:
            reply.finish = candidate.finish_reason.value if candidate.finish_reason else reply.finish
            for part in (candidate.content.parts if candidate.content else None) or []:
                reply.text += part.text or ""
                if part.function_call:
                    reply.tool = (part.function_call.name, part.function_call.args)
        usage = response.usage_metadata
        if usage:
            thoughts = usage.thoughts_token_count or 0
            generated = (usage.candidates_token_count or 0) + thoughts
            assert usage.total_token_count == usage.prompt_token_count + generated, usage
            reply.usage = {
                "prompt_tokens": usage.prompt_token_count,
                "cached_tokens": usage.cached_content_token_count or 0,
                "generated": generated,
                "reasoning": thoughts,
            }
        if isinstance(response.parsed, City):
            reply.city = response.parsed.city
