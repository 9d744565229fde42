"""How the small CLIPs are trained that ship with this package.

On pictures u_i and captions v_i (unit vectors from two towers), with a learned sharpness s, a batch of B pairs gives

    L = 1/2 sum_i [ CE(s u_i . v_1..B, i) + CE(s v_i . u_1..B, i) ] / B:

every picture must find its caption among those of the batch, and every caption its picture. Source: CLIP
(arXiv 2103.00020); towers and loss are open_clip's. What is simplified: worlds of our own instead of the web, captions
from the true state, one number for each word (`words`). What a small CLIP is taught is its captioning task (`lessons`).

    python -m make.clip.training [--lesson keys|desk]

trains one of them or, if none is named, one after the other; writes the weights, measures them (`measures`) and writes
the tables of the model card.
"""

import argparse
import csv
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from make.clip.lessons import CAPTION_TASKS, CaptionTask, Round
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.clip.bundled import KEYS, SmallClip, WordTokenizer
from sensei_lite.annotators.clip.model import require_open_clip, to_tensor

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


def new_network(seed: int, clip: SmallClip = KEYS) -> Any:
    """Initialise a small CLIP with random weights. Sets torch's seed."""
    open_clip = require_open_clip()
    import torch

    torch.manual_seed(seed)
    open_clip.add_model_config(clip.config)
    return open_clip.create_model(clip.architecture, pretrained=None)


def train(settings: ClipTraining, lesson: CaptionTask) -> tuple[Any, list[float]]:
    """Train a small CLIP; return the network and the loss of every update."""
    open_clip = require_open_clip()
    import torch

    torch.set_num_threads(settings.threads)
    network = new_network(settings.seed, lesson.clip).train().to(memory_format=torch.channels_last)
    tokenizer = WordTokenizer(lesson.vocabulary(), network.context_length)
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
    with tqdm(total=settings.steps, desc=f"training {lesson.clip.name}", unit="update") as bar:
        for step in range(settings.steps):
            if used + settings.batch > len(drawn.captions):
                size = network.visual.image_size
                drawn = lesson.draw(settings.per_world, size, seed=settings.seed + step, random=random)
                used = 0
            part = slice(used, used + settings.batch)
            used += settings.batch
            losses.append(update(network, optimiser, loss_of, drawn.images[part], tokenizer(drawn.captions[part])))
            schedule.step()
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.2f}", refresh=False)
            bar.update()
    return network.eval(), losses


def update(network: Any, optimiser: Any, loss_of: Any, images: np.ndarray, numbers: Any) -> float:
    """Take one step of the optimiser; return the loss before it."""
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
    """Save weights as safetensors: matrices and kernels in half precision, the few other numbers as they are."""
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


def train_and_measure(settings: ClipTraining, weights: Path, tables: Path, lesson: CaptionTask) -> None:
    """Train a small CLIP, save words and weights, load them as everyone does, and write the model card's tables."""
    words = "".join(f"{word}\n" for word in lesson.vocabulary())
    if words != lesson.clip.words.read_text():
        lesson.clip.words.write_text(words)
    start, processor = time.perf_counter(), time.process_time()
    network, losses = train(settings, lesson)
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
    measure_weights(weights, tables, lesson)


def measure_weights(weights: Path, tables: Path, lesson: CaptionTask) -> None:
    """Measure a file of a small CLIP's weights on held-out pictures, and write the tables."""
    annotator = ClipAnnotator(lesson.clip.architecture, weights=weights)
    measured = lesson.measure(annotator, MEASURED_PICTURES)
    write_tables(measured, tables)
    for row in measured["agreement"]:
        agreement = f"{100 * row['agreement']:.1f}%" if row["agreement"] != "" else "none"
        print(f"{next(iter(row.values()))}: agrees in {agreement} of decided pairs, kappa {row['kappa']}")


def main() -> None:
    """Run the command line."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait do not take the cores from others
    parser = argparse.ArgumentParser(description="Train the small CLIPs that ship with sensei_lite, and measure them.")
    parser.add_argument("--lesson", choices=list(CAPTION_TASKS), help="which one (default: one after the other)")
    for field in dataclasses.fields(ClipTraining):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), help=f"(default {field.default}, or as the lesson has it)")
    parser.add_argument("--weights", type=Path, help="where the weights go (default: where they are loaded from)")
    parser.add_argument("--tables", type=Path, help="folder for the card's tables (default: in book/data)")
    parser.add_argument("--measure-only", action="store_true", help="do not train; measure the weights that are there")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    chosen, measure_only = given.pop("lesson", None), given.pop("measure_only")
    if chosen is None and given.keys() & {"weights", "tables"}:
        parser.error("--weights and --tables are for one small CLIP: say which with --lesson")
    weights, tables = given.pop("weights", None), given.pop("tables", None)
    for name, lesson in CAPTION_TASKS.items():
        if chosen not in (None, name):
            continue
        places = weights or lesson.clip.weights, tables or lesson.tables
        if measure_only:
            measure_weights(*places, lesson)
        else:
            train_and_measure(ClipTraining(**(lesson.settings | given)), *places, lesson)


if __name__ == "__main__":
    main()
