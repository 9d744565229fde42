"""Chat models as annotators, behind OpenAI's protocol."""
