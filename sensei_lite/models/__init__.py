"""The world model: what happens next, what is seen there, and how sure the agent can be of it. Notebooks 02 and 04."""
