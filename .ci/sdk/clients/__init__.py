"""The official SDKs, each behind the same methods in a file of its own.

`call` gives the SDK's own object, `whole` a Reply; `stream` fills one as it goes, so that what came before an exception
is there. `after_tool` plays a call of a tool and the turn after it, `models` lists names.
"""

from .anthropic_client import AnthropicClient
from .gemini_client import GeminiClient
from .ollama_client import OllamaClient
from .openai_client import OpenAiClient

OPENAI, ANTHROPIC, GEMINI, OLLAMA = OpenAiClient(), AnthropicClient(), GeminiClient(), OllamaClient()
ALL = (OPENAI, ANTHROPIC, GEMINI, OLLAMA)
