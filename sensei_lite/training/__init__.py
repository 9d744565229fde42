"""The loop around the agent: collect, learn, store, evaluate; and the whole method in order. Notebooks 07, 08."""
