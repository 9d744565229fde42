"""A CLIP that is ready to use: pictures and texts to unit vectors, whoever trained it.

    similarity(picture, text) = image_tower(picture) . text_tower(text),    both of length 1

Three sources, all through open_clip: a small CLIP that comes with this package (`bundled`), a pretrained tag such as
``ViT-B-32/laion2b_s34b_b79k``, or an architecture with a local file of weights. Source: CLIP (arXiv 2103.00020).

Torch and open_clip are an extra, so they are imported inside the functions.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from sensei_lite.annotators.clip.bundled import WordTokenizer, small_clip_called


class ClipModel(NamedTuple):
    """A CLIP with what belongs to it."""

    network: Any
    """open_clip's torch module, in evaluation mode."""
    tokenizer: Callable[[Sequence[str]], Any]
    """Texts to tokens."""
    preprocess: Callable[[UInt8[np.ndarray, "n height width channel"]], Any]
    """Pictures to what the image tower takes, a float tensor [n channel size size]."""
    tag: str
    """The name that it was asked for by."""
    weights_hash: str
    """Hash of its weights: the same for the same numbers, whatever file they came from."""
    device: str

    def embed_images(
        self, images: UInt8[np.ndarray, "n height width channel"], batch: int
    ) -> Float[np.ndarray, "n embedding"]:
        """Compute unit vectors of pictures, ``batch`` at a time."""
        import torch

        parts = []
        with torch.inference_mode():
            for begin in range(0, len(images), batch):
                pixels = self.preprocess(images[begin : begin + batch]).to(self.device)
                parts.append(self.network.encode_image(pixels, normalize=True).float().cpu().numpy())
        return np.concatenate(parts)

    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "n embedding"]:
        """Compute unit vectors of texts."""
        import torch

        with torch.inference_mode():
            tokens = self.tokenizer(list(texts)).to(self.device)
            return self.network.encode_text(tokens, normalize=True).float().cpu().numpy()

    @property
    def logit_scale(self) -> float:
        """What the model multiplies similarities with before a softmax over texts; learned, at most 100."""
        return self.network.logit_scale.exp().item()


def load_clip(model: str, weights: Path | None = None, device: str = "cpu") -> ClipModel:
    """Load a CLIP.

    Args:
        model: ``bundled`` or ``bundled-desk``, ``architecture/pretrained tag``, or an architecture of open_clip's alone
            (with ``weights``).
        weights: a local file of weights for that architecture (.safetensors, .pt, .bin).
        device: where it runs, as torch names it.

    Raises:
        ImportError: torch or open_clip is missing.
        FileNotFoundError: there is no such file.
        ValueError: the architecture or the tag is not known, or the file holds no weights of this architecture.
        ConnectionError: the tag's weights are not on this machine and could not be downloaded.
    """
    open_clip = require_open_clip()
    architecture, _, tag = model.partition("/")
    small = small_clip_called(architecture)
    bundled = small is not None and model == small.name
    if weights is not None and (tag or bundled):
        raise ValueError(f"{model!r} names its weights and {weights} is a file of others: give one of the two")
    if small:
        open_clip.add_model_config(small.config)
        architecture, weights = small.architecture, small.weights if bundled else weights
    if architecture not in open_clip.list_models():
        raise ValueError(f"open_clip has no architecture {architecture!r}; open_clip.list_models() lists those it has")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights is None and tag not in tags:
        raise ValueError(
            f"{model!r} names no weights that open_clip knows: write {architecture}/TAG (the tags are "
            f"{', '.join(tags) or 'none'}), or give a file of weights"
        )
    if weights is not None and not weights.is_file():
        raise FileNotFoundError(f"there is no file of weights {weights}")
    try:
        # "longest" pads to a square: the usual crop would cut off the strip that shows the key.
        network, _, transform = open_clip.create_model_and_transforms(
            architecture, pretrained=tag or str(weights), device=device, image_resize_mode="longest"
        )
        if small:
            tokenizer: Any = WordTokenizer(small.words.read_text(encoding="utf-8").split(), network.context_length)
        else:
            tokenizer = open_clip.get_tokenizer(architecture)
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
        if weights is not None:
            raise ValueError(f"{weights} holds no weights of {architecture}: {reason}") from error
        raise ConnectionError(
            f"the weights {model} are not on this machine and could not be downloaded ({reason}). Give a local file "
            f"instead: model={architecture!r} with weights=<file>, or use the bundled model"
        ) from error

    def preprocess(images: UInt8[np.ndarray, "n height width channel"]) -> Any:
        import torch
        from PIL import Image

        if small:
            return to_tensor(fit_pictures(images, network.visual.image_size))
        return torch.stack([transform(Image.fromarray(image)) for image in images])

    return ClipModel(network.eval(), tokenizer, preprocess, model, _weights_hash(network), device)


def require_open_clip() -> Any:
    """Import the open_clip package. Raises ImportError that says how to get it."""
    try:
        import open_clip
        import torch  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the CLIP annotator needs open_clip and torch: pip install 'sensei-lite[vlm]', or "
            "make setup EXTRAS=notebooks,vlm,test (on Linux without a GPU add TORCH_BACKEND=cpu)"
        ) from error
    return open_clip


def fit_pictures(
    images: UInt8[np.ndarray, "n height width channel"], size: int
) -> UInt8[np.ndarray, "n size size channel"]:
    """Bring pictures to a square without blurring their tiles: divide by a whole number where need be, pad with black.

    A picture of 80 x 72 pixels stays as it is, in the middle of 96 x 96; one of 160 x 144 is first halved (each pixel
    the mean of four). Resizing by anything else would smear tiles of 8 pixels over each other.
    """
    factor = -(-max(images.shape[1:3]) // size)
    if factor > 1:
        grow = [(0, -length % factor) for length in images.shape[1:3]]
        images = np.pad(images, ((0, 0), *grow, (0, 0)), mode="edge")
        number, height, width, channel = images.shape
        blocks = images.reshape(number, height // factor, factor, width // factor, factor, channel)
        images = np.round(blocks.mean((2, 4), dtype=np.float32)).astype(np.uint8)
    around = [((size - length) // 2, (size - length + 1) // 2) for length in images.shape[1:3]]
    return np.pad(images, ((0, 0), *around, (0, 0)))


def to_tensor(images: UInt8[np.ndarray, "n height width channel"]) -> Any:
    """Convert pixels 0 .. 255 to a float tensor [n channel height width] from -1 to 1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1.0


def _weights_hash(network: Any) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
