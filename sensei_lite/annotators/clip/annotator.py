"""Which of two pictures looks more like something interesting? CLIP compares each of them with sentences.

Every prompt p is a sentence t_p with an interest w_p from 0 (dull) to 1. With u(x) the picture's unit vector, v_p the
sentence's, and s the logit scale that the model learned,

    P(p | x) = softmax_p( s u(x) . v_p ),        score(x) = sum_p P(p | x) w_p,

the interest to be expected if the picture shows one of these scenes. With two grades only, w in {0, 1}, this is the
chance that the scene is one of the interesting ones. The picture with the higher score is more interesting; scores
nearer than ``margin`` are a tie.

Why not the difference of mean similarities? It moves with everything that the sentences share with the picture (the
colour of the walls), while a softmax asks only which sentence fits best; and it leaves no room for grades.

Source: zero-shot classification as in CLIP (arXiv 2103.00020), used as an annotator in place of SENSEI's GPT-4 (arXiv
2503.01584). Simplified: CLIP never sees the two pictures together, so it has no position bias. Used in notebook
05_vlm_annotation.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from sensei_lite.annotators.base import Annotator, Answer, HostImages, Reply
from sensei_lite.annotators.clip.bundled import BUNDLED, small_clip_called
from sensei_lite.annotators.clip.model import load_clip
from sensei_lite.annotators.clip.prompts import KEY_PROMPTS
from sensei_lite.annotators.data import distinct_images

MARGIN = 0.05
"""A quarter of a stage."""


class ClipAnnotator(Annotator):
    """Compares pictures by what CLIP says of each of them. It needs the extra ``vlm`` (torch and open_clip).

    Args:
        model: ``bundled`` for the small CLIP of this package that knows KeyRoom and KeyChest and nothing else,
            ``bundled-desk`` for the one that knows Tabletop; a pretrained model as ``architecture/tag``, such as
            ``ViT-B-32/laion2b_s34b_b79k``; or an architecture alone.
        weights: for an architecture alone, a local file of its weights.
        prompts: sentences, each with its interest from 0 to 1. None takes those of the small CLIP, and for other models
            those of KeyRoom and KeyChest. The bundled models take only words that they know.
        margin: scores that differ by less than this are a tie; from 0 (no ties but equal scores) to 1.
        device: where the model runs, as torch names it: ``cpu``, ``cuda``, ``mps``.
        batch: pictures that are encoded at a time.

    Raises:
        ImportError: torch or open_clip is missing.
        FileNotFoundError, ConnectionError: the weights are not there, or cannot be downloaded.
        ValueError: a setting makes no sense, the model is not known, or a file holds no weights of it.
    """

    name = "clip"

    def __init__(
        self,
        model: str = BUNDLED,
        *,
        weights: Path | str | None = None,
        prompts: Mapping[str, float] | None = None,
        margin: float = MARGIN,
        device: str = "cpu",
        batch: int = 64,
    ) -> None:
        if prompts is None:
            small = small_clip_called(model)
            prompts = small.prompts if small else KEY_PROMPTS
        _check_prompts(prompts)
        if not 0.0 <= margin <= 1.0:
            raise ValueError(f"margin is {margin}; it is a difference of two scores, from 0 to 1")
        if batch < 1:
            raise ValueError(f"batch is {batch}; it must be at least 1")
        self.prompts = dict(prompts)
        self.margin, self.batch = margin, batch
        self.model = load_clip(model, None if weights is None else Path(weights), device)
        self._interest = np.array(list(self.prompts.values()), np.float32)
        self._texts = self.model.embed_texts(list(self.prompts))
        self.prompt_hash = hashlib.sha256(json.dumps(self.prompts).encode()).hexdigest()[:12]
        self.version = f"{self.model.tag} {self.model.weights_hash} prompts {self.prompt_hash} margin {margin:g}"

    def prompt_probabilities(self, images: HostImages) -> Float[np.ndarray, "batch prompts"]:
        """Compute P(p | x) for every picture and every prompt, in the order of ``prompts``.

        Every distinct picture is encoded once, in the order of their names: the same pictures are in the same batches
        and give the same numbers, bit by bit, in whichever order they were asked for.

        Raises ValueError for pictures that are not uint8 [n height width 3].
        """
        distinct, place = distinct_images(images)
        if not len(images):
            return np.zeros((0, len(self.prompts)), np.float32)
        vectors = self.model.embed_images(images[distinct], self.batch)
        return softmax(self.model.logit_scale * vectors @ self._texts.T, axis=1).astype(np.float32)[place]

    def scores(self, images: HostImages) -> Float[np.ndarray, " batch"]:
        """Compute how interesting each picture is, from 0 to 1.

        Raises ValueError for pictures that are not uint8 [n height width 3].
        """
        return (self.prompt_probabilities(images) * self._interest).sum(1)

    def annotate(self, images_a: HostImages, images_b: HostImages) -> Iterator[tuple[int, Reply]]:
        """Compare ``images_a[i]`` with ``images_b[i]``, in order. See `Annotator.annotate`."""
        scores = self.scores(np.concatenate([images_a, images_b])).reshape(2, len(images_a))
        for i, (a, b) in enumerate(scores.T.tolist()):
            yield i, Reply(self.compare(a, b), f"{a:.4f} {b:.4f}")

    def compare(self, a: float, b: float) -> Answer:
        """Return the answer for two scores."""
        if abs(a - b) < self.margin or a == b:
            return Answer.TIE
        return Answer.FIRST if a > b else Answer.SECOND


def _check_prompts(prompts: Mapping[str, float]) -> None:
    for text, interest in prompts.items():
        if not text.strip():
            raise ValueError("prompts has an empty sentence")
        if not 0.0 <= interest <= 1.0:
            raise ValueError(f"prompts gives {text!r} the interest {interest}; it must be from 0 (dull) to 1")
    if len(set(prompts.values())) < 2:
        raise ValueError("prompts needs sentences of at least two different interests, or all pictures are alike to it")
