"""A CLIP that is ready to use: pictures and texts to unit vectors, whoever trained it.

    similarity(picture, text) = image_tower(picture) . text_tower(text),    both of length 1

Three sources, all through open_clip: a small CLIP that comes with this package (`small_clips`), a pretrained tag
such as ``ViT-B-32/laion2b_s34b_b79k``, or an architecture with a local file of weights. Source: CLIP (arXiv
2103.00020).

Torch and open_clip are an extra, so they are imported inside the functions.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from sensei_lite.annotators.clip.bundled import BUNDLED, SmallClip, small_clip_called
from sensei_lite.annotators.words import WordTokenizer

__all__ = ["BUNDLED", "ClipModel", "fit_pictures", "hash_of_weights", "load_clip", "require_open_clip", "to_tensor"]


class ClipModel(NamedTuple):
    """A CLIP with what belongs to it."""

    network: Any
    """open_clip's torch module, in evaluation mode."""
    tokenizer: Any
    """Texts to numbers."""
    transform: Any
    """PIL image to torch tensor as the model was pretrained; None for the small CLIP, which has `fit_pictures`."""
    size: int
    """Side of the square that the image tower takes, in pixels."""
    tag: str
    """The name that it was asked for by."""
    weights_hash: str
    """Hash of its weights."""
    device: str

    def embed_images(
        self, images: UInt8[np.ndarray, "n height width channel"], batch: int
    ) -> Float[np.ndarray, "n embedding"]:
        """Unit vectors of pictures, ``batch`` at a time."""
        import torch

        parts = []
        with torch.inference_mode():
            for begin in range(0, len(images), batch):
                pixels = self.prepare(images[begin : begin + batch]).to(self.device)
                parts.append(self.network.encode_image(pixels, normalize=True).float().cpu().numpy())
        return np.concatenate(parts)

    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "n embedding"]:
        """Unit vectors of texts."""
        import torch

        with torch.inference_mode():
            numbers = self.tokenizer(list(texts)).to(self.device)
            return self.network.encode_text(numbers, normalize=True).float().cpu().numpy()

    def prepare(self, images: UInt8[np.ndarray, "n height width channel"]) -> Any:
        """Pictures as the image tower takes them, a float tensor [n channel size size]."""
        import torch
        from PIL import Image

        if self.transform is None:
            return to_tensor(fit_pictures(images, self.size))
        return torch.stack([self.transform(Image.fromarray(image)) for image in images])

    @property
    def sharpness(self) -> float:
        """What the model multiplies similarities with before a softmax over texts; learned, at most 100."""
        return self.network.logit_scale.exp().item()


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
    before = [(size - length) // 2 for length in images.shape[1:3]]
    after = [size - length - b for length, b in zip(images.shape[1:3], before, strict=True)]
    return np.pad(images, ((0, 0), *zip(before, after, strict=True), (0, 0)))


def to_tensor(images: UInt8[np.ndarray, "n height width channel"]) -> Any:
    """Pixels 0 .. 255 to a float tensor [n channel height width] from -1 to 1."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1.0


def require_open_clip() -> Any:
    """The open_clip package. Raises ImportError that says how to get it."""
    try:
        import open_clip
        import torch  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the CLIP annotator needs open_clip and torch: pip install 'sensei-lite[vlm]', or "
            "make setup EXTRAS=notebooks,vlm,test (on Linux without a GPU add TORCH_BACKEND=cpu)"
        ) from error
    return open_clip


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
    if small := small_clip_called(architecture):
        if model == small.name and weights is not None:
            raise ValueError("the bundled model has its weights; to use a file, name its architecture as the model")
        if model == small.name or weights is not None:
            return _small_clip(open_clip, small, weights or small.weights, device)
    if architecture not in open_clip.list_models():
        raise ValueError(f"open_clip has no architecture {architecture!r}; open_clip.list_models() lists those it has")
    if weights is not None and tag:
        raise ValueError(f"{model!r} names pretrained weights and {weights} is a file of others: give one of the two")
    if weights is None and not tag:
        raise ValueError(
            f"{model!r} names no weights: write {architecture}/<pretrained tag>, or give a file of weights"
        )
    if weights is None and tag not in open_clip.list_pretrained_tags_by_model(architecture):
        known = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise ValueError(f"open_clip knows no weights {tag!r} for {architecture}; it knows {known}")
    source = tag if weights is None else str(_existing(weights))
    network, transform = _create(open_clip, architecture, source, device, is_file=weights is not None)
    size = network.visual.image_size
    return ClipModel(
        network,
        _tokenizer(open_clip, architecture),
        transform,
        size if isinstance(size, int) else size[0],
        model,
        hash_of_weights(network),
        device,
    )


def _small_clip(open_clip: Any, small: SmallClip, weights: Path, device: str) -> ClipModel:
    open_clip.add_model_config(small.config)
    network, _ = _create(open_clip, small.architecture, str(_existing(weights)), device, is_file=True)
    tokenizer = WordTokenizer.from_file(small.words, network.context_length)
    return ClipModel(network, tokenizer, None, network.visual.image_size, small.name, hash_of_weights(network), device)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights {path}")
    return path


def _create(open_clip: Any, architecture: str, source: str, device: str, *, is_file: bool) -> tuple[Any, Any]:
    """The network in evaluation mode and its transform."""
    try:
        # "longest" pads to a square: the usual crop would cut off the strip that shows the key.
        network, _, transform = open_clip.create_model_and_transforms(
            architecture, pretrained=source, device=device, image_resize_mode="longest"
        )
    except Exception as error:
        if is_file:
            raise ValueError(f"{source} holds no weights of {architecture}: {_first_line(error)}") from error
        raise ConnectionError(
            f"the weights {architecture}/{source} are not on this machine and could not be downloaded "
            f"({_first_line(error)}). Give a local file instead: model={architecture!r} with weights=<file>, "
            "or use the bundled model"
        ) from error
    return network.eval(), transform


def _tokenizer(open_clip: Any, architecture: str) -> Any:
    try:
        return open_clip.get_tokenizer(architecture)
    except Exception as error:  # some architectures take theirs from the network
        raise ConnectionError(
            f"the tokenizer of {architecture} is not on this machine and could not be downloaded ({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


def hash_of_weights(network: Any) -> str:
    """The same for the same numbers, whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
