"""A store's answers for other programs: as one file of NumPy arrays, or as two tables in Parquet."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from sensei_lite.annotators.store import Store

COLUMNS = ("first", "second", "name", "version", "prompt_hash", "answer", "raw", "time", "cost")
"""Of the answers: hashes of the two pictures, the annotator, the value of `base.Answer`, what was said, UTC seconds,
US dollars."""


def export_npz(store: Store, path: Path) -> None:
    """Write everything to one file (NumPy's .npz, no pickle), compressed.

    Arrays: ``images`` [n height width 3], ``hash``, ``episode`` and ``t`` of each; and for each answer `COLUMNS`, where
    ``first`` and ``second`` are indices into the images.

    Raises ValueError where there are no pictures, or of several sizes.
    """
    pictures = list(store.pictures())
    if not pictures:
        raise ValueError(f"{store.path} has no pictures")
    hashes, episode, t, images = zip(*pictures, strict=True)
    if len(shapes := {image.shape for image in images}) > 1:
        raise ValueError(f"{store.path} has pictures of several sizes, {sorted(shapes)}: no array can hold them")
    index = {h: i for i, h in enumerate(hashes)}
    columns = _columns(store)
    for name in ("first", "second"):
        columns[name] = [index[h] for h in columns[name]]
    types = dict.fromkeys(COLUMNS, str) | {"first": int, "second": int, "answer": int, "time": float, "cost": float}
    unfinished = path.with_name(f".{path.name}.unfinished")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                images=np.stack(images),
                hash=np.array(hashes),
                episode=np.array(episode),
                t=np.array(t),
                **{name: np.array(column, types[name]) for name, column in columns.items()},
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def export_parquet(store: Store, folder: Path) -> None:
    """Write ``answers.parquet`` (`COLUMNS`) and ``pictures.parquet`` (hash, episode, t, and the picture as PNG).

    Raises ImportError where pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install pyarrow") from error
    folder.mkdir(parents=True, exist_ok=True)
    text, integer, real = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    types = dict.fromkeys(COLUMNS, text) | {"answer": integer, "time": real, "cost": real}
    answers = pyarrow.table({name: pyarrow.array(column, types[name]) for name, column in _columns(store).items()})
    pyarrow.parquet.write_table(answers, folder / "answers.parquet")
    rows = [(h, episode, t, _png(image)) for h, episode, t, image in store.pictures()]
    columns = list(zip(*rows, strict=True)) or [()] * 4
    names = {"hash": text, "episode": integer, "t": integer, "png": pyarrow.binary()}
    pictures = pyarrow.table(
        {name: pyarrow.array(column, kind) for (name, kind), column in zip(names.items(), columns, strict=True)}
    )
    pyarrow.parquet.write_table(pictures, folder / "pictures.parquet")


def _columns(store: Store) -> dict[str, list]:
    rows = store.questions()
    return {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}


def _png(image: np.ndarray) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "PNG")
        return file.getvalue()
