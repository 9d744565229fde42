"""The agent: how it learns to act in imagination, from which rewards, when it goes or explores. Notebooks 03, 07."""
