"""Chat models as annotators, behind OpenAI's protocol."""

from sensei_lite.annotators.chat.annotator import ChatAnnotator
from sensei_lite.annotators.chat.client import BudgetSpent, ChatError
from sensei_lite.annotators.chat.limits import Price
from sensei_lite.annotators.chat.parser import parse_answer
from sensei_lite.annotators.chat.prompts import GENERIC, Prompt, comparison_messages, description_messages, prompt_for

__all__ = ["GENERIC", "BudgetSpent", "ChatAnnotator", "ChatError", "Price", "Prompt"]
__all__ += ["comparison_messages", "description_messages", "parse_answer", "prompt_for"]
