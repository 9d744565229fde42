"""sensei_lite: SENSEI, an agent that explores what a vision-language model finds interesting, in JAX and Equinox.

An educational reference implementation of "SENSEI: Semantic Exploration Guided by Foundation Models to Learn Versatile
World Models" (Sancaktar, Gumbsch et al., ICML 2025, arXiv 2503.01584). Importing the package registers its worlds with
Gymnasium.

    import sensei_lite as sl

gives the names that ``dir(sl)`` lists, and the folders: ``sl.worlds.shortest_plan``. Each is imported when it is first
asked for. `__init__.pyi`, here and in every folder, says where each name comes from: Python reads it when the package
is imported, and editors and type checkers read the same file.
"""

import gymnasium
import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _register_gymnasium_ids() -> None:
    """Make the worlds known to ``gymnasium.make`` and ``gymnasium.make_vec``. Nothing heavy is imported until then."""
    for name, world in (("KeyRoom", "keyroom"), ("KeyChest", "keychest"), ("Tabletop", "tabletop")):
        gymnasium.register(
            f"SenseiLite/{name}-v0",
            entry_point="sensei_lite.worlds.gym_env:WorldEnv",
            vector_entry_point="sensei_lite.worlds.gym_env:WorldVectorEnv",
            kwargs={"world": world},
        )
    for name in ("MiniHackKeyRoom", "MiniHackKeyChest"):
        gymnasium.register(f"SenseiLite/{name}-v0", entry_point=f"sensei_lite.worlds.minihack.world:{name}")
    gymnasium.register("SenseiLite/PokemonRed-v0", entry_point="sensei_lite.worlds.pokemon.world:PokemonRed")
    gymnasium.register("SenseiLite/Robodesk-v0", entry_point="sensei_lite.worlds.robodesk:Robodesk")


_register_gymnasium_ids()
