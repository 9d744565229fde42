"""Where a chat model is asked, and the key: read from the environment when requests are made, and shown nowhere.

A server that needs no key is given a placeholder when OPENAI_API_KEY is not set; when it is set, every server that is
named is sent it.
"""

import os
import re
from urllib.parse import urlsplit

KEY_VARIABLE = "OPENAI_API_KEY"
_KEY_LIKE = re.compile(r"\bsk-[\w*\-]{8,}|(?i:\bbearer\s+)[\w.\-]{16,}")


def read_key() -> str:
    """Read the key from the environment; empty where there is none."""
    return os.environ.get(KEY_VARIABLE, "").strip()


def redact(text: str) -> str:
    """Return the text without the key, and without what looks like one."""
    if key := read_key():
        # A local server's key can be as short as "x", and then not every letter x is a secret.
        text = re.sub(re.escape(key) if len(key) >= 8 else rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", text)
    return _KEY_LIKE.sub("[key]", text)


def find_endpoint(base_url: str | None) -> str:
    """Return the address to ask: this one; None: that of the variable OPENAI_BASE_URL, or OpenAI's.

    Raises ValueError for an address that is none, or that holds a secret (it is shown and stored), or where OpenAI is
    to be asked and the environment has no key.
    """
    url = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    parts = urlsplit(url)
    secret = "@" in parts.netloc or parts.query or parts.fragment or redact(url) != url
    if parts.scheme not in ("http", "https") or not parts.hostname or secret:
        raise ValueError(
            "base_url must be an address such as http://localhost:8000/v1, without a password or a key: that stands in "
            f"the environment variable {KEY_VARIABLE}"
        )
    if parts.hostname == "api.openai.com" and not read_key():
        raise ValueError(f"{url} needs a key: set the environment variable {KEY_VARIABLE}")
    return url
