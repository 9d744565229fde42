"""How the small CLIP is trained that ships with this package.

On pictures u_i and captions v_i (unit vectors from two towers), with a learned sharpness s, a batch of B pairs gives

    L = 1/2 sum_i [ CE(s u_i . v_1..B, i) + CE(s v_i . u_1..B, i) ] / B:

every picture must find its caption among those of the batch, and every caption its picture. Source: CLIP
(arXiv 2103.00020); towers and loss are open_clip's. What is simplified: worlds of our own instead of the web
(`caption_data`), captions from the true state (`captions`), one number for each word (`words`).

    python -m sensei_lite.annotators.clip_training

trains, writes the weights, measures them (`clip_evaluation`) and writes the tables of the model card.
"""

import argparse
import csv
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from sensei_lite.annotators.caption_data import TRAINING_WORLDS, sample_scenes
from sensei_lite.annotators.captions import vocabulary, write_caption
from sensei_lite.annotators.clip import ClipAnnotator
from sensei_lite.annotators.clip_evaluation import evaluate_clip
from sensei_lite.annotators.clip_model import (
    SMALL_CLIP,
    SMALL_CLIP_NAME,
    SMALL_CLIP_WEIGHTS,
    fit_pictures,
    require_open_clip,
    to_tensor,
)
from sensei_lite.annotators.words import WordTokenizer
from sensei_lite.worlds.grid import GridWorld

MEASURED_PICTURES = 768
"""Pictures of every held-out world, about."""


@dataclasses.dataclass(frozen=True)
class ClipTraining:
    """The settings of a training."""

    steps: int = 3000
    """Updates."""
    batch: int = 64
    """Pairs of picture and caption in each."""
    per_world: int = 512
    """Pictures that are drawn from every world at a time; each is used once."""
    learning_rate: float = 1.5e-3
    """The highest of a warm-up and a cosine."""
    warmup: int = 100
    """Updates until it is reached."""
    weight_decay: float = 0.1
    """Of matrices and kernels; AdamW."""
    seed: int = 0
    """Decides everything that is random."""
    threads: int = 2
    """Threads of torch; sums in another order give slightly other weights."""


class Round(NamedTuple):
    """Pairs to learn from."""

    images: UInt8[np.ndarray, "n size size channel"]
    captions: list[str]


def draw_round(
    worlds: Sequence[GridWorld], per_world: int, size: int, *, seed: int, random: np.random.Generator
) -> Round:
    """Fresh pictures of every world, each at a place of its own in the square, with fresh captions, shuffled."""
    images, captions = [], []
    for number, world in enumerate(worlds):
        some = sample_scenes(world, per_world, held_out=False, seed=seed * len(worlds) + number)
        images.append(_shift(fit_pictures(some.images, size), some.images.shape[1:3], random))
        captions += [write_caption(some.scene.one(i), chest=some.chest, random=random) for i in range(len(some.images))]
    order = random.permutation(len(captions))
    return Round(np.concatenate(images)[order], [captions[i] for i in order])


def _shift(images: np.ndarray, drawn: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Move every picture within its black margin: where it lies must not matter."""
    size = images.shape[1]
    slack = [max(0, size - length) for length in drawn]
    first = [s // 2 for s in slack]
    moves = [random.integers(-f, s - f + 1, len(images)) for f, s in zip(first, slack, strict=True)]
    return np.stack([np.roll(image, (down, right), (0, 1)) for image, down, right in zip(images, *moves, strict=True)])


def new_network(seed: int) -> Any:
    """The small CLIP with random weights. Sets torch's seed."""
    open_clip = require_open_clip()
    import torch

    torch.manual_seed(seed)
    open_clip.add_model_config(SMALL_CLIP / f"{SMALL_CLIP_NAME}.json")
    return open_clip.create_model(SMALL_CLIP_NAME, pretrained=None)


def train(settings: ClipTraining, worlds: Sequence[GridWorld] = TRAINING_WORLDS) -> tuple[Any, list[float]]:
    """Train a small CLIP. Returns the network and the loss of every update."""
    open_clip = require_open_clip()
    import torch

    torch.set_num_threads(settings.threads)
    network = new_network(settings.seed).train().to(memory_format=torch.channels_last)
    tokenizer = WordTokenizer(vocabulary(), network.context_length)
    decayed = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings))
    loss_of, random = open_clip.ClipLoss(), np.random.default_rng(settings.seed)
    losses: list[float] = []
    drawn, used = Round(np.zeros((0, 1, 1, 3), np.uint8), []), 0
    with tqdm(total=settings.steps, desc="training the small CLIP", unit="update") as bar:
        for step in range(settings.steps):
            if used + settings.batch > len(drawn.captions):
                drawn = draw_round(
                    worlds, settings.per_world, network.visual.image_size, seed=settings.seed + step, random=random
                )
                used = 0
            part = slice(used, used + settings.batch)
            used += settings.batch
            losses.append(update(network, optimiser, loss_of, drawn.images[part], tokenizer(drawn.captions[part])))
            schedule.step()
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.2f}", refresh=False)
            bar.update()
    return network.eval(), losses


def update(network: Any, optimiser: Any, loss_of: Any, images: np.ndarray, numbers: Any) -> float:
    """One step of the optimiser; returns the loss before it."""
    import torch

    picture, text, sharpness = network(to_tensor(images).contiguous(memory_format=torch.channels_last), numbers)[:3]
    loss = loss_of(picture, text, sharpness)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    with torch.no_grad():
        network.logit_scale.clamp_(0, np.log(100))
    return loss.item()


def _rate(step: int, settings: ClipTraining) -> float:
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    return 0.5 * (1 + np.cos(np.pi * (step - settings.warmup) / max(1, settings.steps - settings.warmup)))


def save_weights(network: Any, path: Path) -> None:
    """Write weights as safetensors: matrices and kernels in half precision, the few other numbers as they are."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            name: (value.half() if value.ndim >= 2 else value).contiguous()
            for name, value in network.state_dict().items()
        },
        path,
    )


def write_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> None:
    """Write each table as ``<name>.csv``, for the model card."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def train_and_measure(settings: ClipTraining, weights: Path, tables: Path, worlds: Sequence[GridWorld]) -> None:
    """Train, write the weights, load them again as everyone does, and write what they are worth."""
    start, processor = time.perf_counter(), time.process_time()
    network, losses = train(settings, worlds)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    save_weights(network, weights)
    recipe = dataclasses.asdict(settings) | {
        "pairs_seen": settings.steps * settings.batch,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "weights_mb": round(weights.stat().st_size / 1e6, 2),
        "first_loss": round(losses[0], 3),
        "last_loss": round(float(np.mean(losses[-50:])), 3),
        "training_minutes": round(seconds / 60, 1),
        "processor_minutes": round(processor / 60, 1),
    }
    write_tables({"training": [{"what": name, "value": value} for name, value in recipe.items()]}, tables)
    measure_weights(weights, tables)


def measure_weights(weights: Path, tables: Path) -> None:
    """Measure a file of the small CLIP's weights on what training never saw, and write the tables."""
    annotator = ClipAnnotator(SMALL_CLIP_NAME, weights=weights)
    measured = evaluate_clip(annotator, MEASURED_PICTURES)
    write_tables(measured, tables)
    for row in measured["agreement"]:
        agreement = f"{100 * row['agreement']:.1f}%" if row["agreement"] != "" else "none"
        print(f"{row['world']}: agrees in {agreement} of decided pairs, kappa {row['kappa']}")


def main() -> None:
    """The command."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait do not take the cores from others
    parser = argparse.ArgumentParser(description="Train the small CLIP that ships with sensei_lite, and measure it.")
    for field in dataclasses.fields(ClipTraining):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default, help=f"(default {field.default})")
    parser.add_argument("--weights", type=Path, default=SMALL_CLIP_WEIGHTS, help="where the weights go")
    parser.add_argument("--tables", type=Path, default=Path("book/data/clip"), help="folder for the card's tables")
    parser.add_argument("--measure-only", action="store_true", help="do not train; measure the weights that are there")
    given = vars(parser.parse_args())
    weights, tables, measure_only = (given.pop(name) for name in ("weights", "tables", "measure_only"))
    if measure_only:
        measure_weights(weights, tables)
    else:
        train_and_measure(ClipTraining(**given), weights, tables, TRAINING_WORLDS)


if __name__ == "__main__":
    main()
