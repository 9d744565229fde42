"""How does a room plan of MiniGrid become a MiniHack level? KeyChest, written in NetHack's level language.

KeyChest is MiniGrid's KeyCorridor (rooms on both sides of a corridor, a key in a room on the left, the goal in a
room on the right) rebuilt for the NetHack engine: every door is closed but not locked, and the goal is a locked
chest. `minihack.world` plays it.

Source: KeyChest of SENSEI (arXiv 2503.01584); the plan comes from `minigrid`, the des-file helper from `minihack`.
The translation is our own, because MiniHack's own one (`MiniGridHack`) drops key and ball and takes no seed.
"""


def keychest_level(seed: int, *, room_size: int, num_rows: int) -> str:
    """Sample one KeyCorridor plan and write it as a des-file.

    Args:
        seed: of the plan; the same seed gives the same text.
        room_size: outer width of a room in tiles, walls included, at least 3 (the S of S4R3).
        num_rows: rooms above one another, at least 1 (the R of S4R3).

    Returns:
        The level as text, for ``minihack.MiniHackNavigation(des_file=...)``.

    Raises:
        ImportError: minihack or minigrid is missing.
    """
    from minigrid.envs import KeyCorridorEnv
    from minihack import LevelGenerator

    plan = KeyCorridorEnv(room_size=room_size, num_rows=num_rows)
    plan.reset(seed=seed)
    columns, rows = range(plan.grid.width), range(plan.grid.height)
    cells = {(x, y): plan.grid.get(x, y) for y in rows for x in columns}
    kinds = {place: "floor" if cell is None else cell.type for place, cell in cells.items()}
    letters = {"wall": "|", "door": "+"}  # everything else stands on floor
    level = LevelGenerator(map="\n".join("".join(letters.get(kinds[x, y], ".") for x in columns) for y in rows))

    level.set_start_pos((int(plan.agent_pos[0]), int(plan.agent_pos[1])))
    places = {kind: place for place, kind in kinds.items()}
    level.add_object("skeleton key", "(", places["key"])
    # The agent picks up what it walks over. A boulder inside makes the chest too heavy for that.
    x, y = places["ball"]
    level.add_line(f"CONTAINER:('(',\"chest\"),({x},{y}),locked,not_trapped{{OBJECT:('`',\"boulder\")}}")
    for place, kind in kinds.items():
        if kind == "door":
            level.add_door("closed", place)
    level.wallify()
    return str(level.get_des())
