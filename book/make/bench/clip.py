"""Pictures that a CLIP scores in a second: the small CLIP of this package, and ViT-B-32 with random weights.

How fast a network is does not depend on what it learned, so ViT-B-32 needs no download. A pair of pictures that nobody
has asked about is two pictures; both orders of a pair are still two.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from make.bench.measure import Row, machine, measure, print_columns, write_table
from sensei_lite.annotators.clip.annotator import ClipAnnotator
from sensei_lite.annotators.clip.bundled import BUNDLED
from sensei_lite.annotators.clip.model import require_open_clip

LARGE = "ViT-B-32"


def bench_clip(path: Path, repeats: int = 7) -> list[Row]:
    """Measure both models; write the table to ``path`` and return its rows. Raises ImportError without the extra."""
    import torch
    from safetensors.torch import save_file

    with TemporaryDirectory() as folder:
        weights = Path(folder) / "random.safetensors"
        save_file(require_open_clip().create_model(LARGE, pretrained=None).state_dict(), weights)
        models = [
            (f"the small CLIP ({BUNDLED})", ClipAnnotator(BUNDLED), 512),
            (f"{LARGE}, random weights", ClipAnnotator(LARGE, weights=weights), 16),
        ]
    rows = []
    for label, annotator, number in models:
        # Noise, so that every picture is distinct; the size is KeyRoom's.
        images = np.random.default_rng(0).integers(0, 256, (number, 80, 72, 3), np.uint8)
        speed = measure(lambda who=annotator, seen=images: who.scores(seen), repeats)  # type: ignore[misc]
        rows.append(
            {
                "model": label,
                "parameters": sum(parameter.numel() for parameter in annotator.model.network.parameters()),
                "pictures": number,
                "pictures_per_second": round(number / speed.median, 1),
                "slowest": round(number / speed.slowest, 1),
                "fastest": round(number / speed.fastest, 1),
                "pairs_per_second": round(number / speed.median / 2, 1),
                "threads": torch.get_num_threads(),
                "machine": f"{machine()}, torch {torch.__version__}",
            }
        )
    write_table(rows, path)
    return rows


def print_table(rows: list[Row]) -> None:
    """Print the rows for a person."""
    print_columns(
        rows,
        {
            "model": lambda row: row["model"],
            "pictures/s": lambda row: f"{row['pictures_per_second']:,}",
            "[slowest, fastest]": lambda row: f"[{row['slowest']:,}, {row['fastest']:,}]",
            "pairs/s": lambda row: f"{row['pairs_per_second']:,}",
        },
    )
