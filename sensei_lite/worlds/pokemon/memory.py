"""What has happened in a game of Pokemon Red? Read from the Game Boy's memory, never from the picture.

A picture says little about progress: a battle looks the same at level 5 and at level 50. The game keeps it all at fixed
addresses, which people have mapped. The agent never sees these numbers; they are the measures of exploration.

Source of every address: the symbol table of the disassembly pret/pokered (`pokered.sym` on its branch `symbols`; its
name stands beside each one below). Data Crystal's "Pokemon Red and Blue/RAM map" tells the same. They hold for the
English releases of Red and Blue only. SENSEI's research code reads the same map, party, levels and badges, but rewards
them; here they are only told.
"""

from typing import Any

IN_BATTLE = 0xD057  # wIsInBattle: 0 no, 1 a wild Pokemon, 2 a trainer, 0xFF lost
BATTLE_RESULT = 0xCF0B  # wBattleResult: 0 won, 1 lost, 2 neither (ran away, or caught it)
ENEMY_HP = 0xCFE6  # wEnemyMonHP, two bytes
PARTY_COUNT = 0xD163  # wPartyCount, at most 6
PARTY = 0xD16B  # wPartyMon1, the first of six records
RECORD = 0x2C  # bytes from one record to the next (wPartyMon2 - wPartyMon1)
TRAINER_ID, GENES, LEVEL = 0x0C, 0x1B, 0x21  # in a record: wPartyMon1OTID, wPartyMon1DVs, wPartyMon1Level (0xD18C)
OWNED = slice(0xD2F7, 0xD30A)  # wPokedexOwned, one bit for each species
BADGES = 0xD356  # wObtainedBadges, one bit for each
MAP, Y, X = 0xD35E, 0xD361, 0xD362  # wCurMap, wYCoord, wXCoord

PARTY_SIZE = 6
WON, LOST = 0, 0xFF

EVENTS = ("new_map", "battle_begun", "battle_won", "level_gained", "party_grew", "new_species", "badge_won")


class GameRecord:
    """Compares the memory with what it held before, and so tells what a step has brought about.

    - ``new_map``: the player is on a map (a town, a route, a house's floor) for the first time in this episode.
    - ``battle_begun``, ``battle_won``: a battle began; one ended and the enemy's last Pokemon has no hit points left.
      Running away, catching it, teleporting and losing are no wins.
    - ``level_gained``: a Pokemon of the party has a higher level than ever in this episode. One that joins gains none.
    - ``party_grew``: the party is larger than ever in this episode.
    - ``new_species``: the Pokedex has a species as owned that it had not: caught, given, traded or evolved.
    - ``badge_won``: a gym badge that the player did not have.

    Args:
        memory: gives the byte at an address, and a list of bytes for a slice, as ``PyBoy.memory`` does.
    """

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self._maps = {memory[MAP]}
        self._levels = self._party_levels()
        self._largest_party = memory[PARTY_COUNT]
        self._owned, self._badges = _bits(memory[OWNED]), _bits([memory[BADGES]])
        self._fighting = self._fights()
        self._begun = self._won = False

    def watch(self) -> None:
        """Follow a battle. To be called at least every 32 frames: so long the game keeps the mark of a lost battle."""
        before, self._fighting = self._fighting, self._fights()
        self._begun |= self._fighting and not before
        if before and not self._fighting:
            enemy_is_down = not any(self._memory[ENEMY_HP : ENEMY_HP + 2])
            # The flag is LOST, not 0, where the player blacks out. The result alone would not do: an enemy that
            # teleports away leaves it as it was at the start, WON.
            self._won |= self._memory[IN_BATTLE] == 0 and self._memory[BATTLE_RESULT] == WON and enemy_is_down

    def events(self) -> dict[str, bool]:
        """Say for each of `EVENTS` whether it happened since the last call."""
        self.watch()
        here, size = self._memory[MAP], self._memory[PARTY_COUNT]
        levels = self._party_levels()
        owned, badges = _bits(self._memory[OWNED]), _bits([self._memory[BADGES]])
        happened = (
            here not in self._maps,
            self._begun,
            self._won,
            any(level > self._levels.get(who, level) for who, level in levels.items()),
            size > self._largest_party,
            bool(owned & ~self._owned),
            bool(badges & ~self._badges),
        )
        self._maps.add(here)
        self._levels |= {who: max(level, self._levels.get(who, level)) for who, level in levels.items()}
        self._largest_party = max(size, self._largest_party)
        self._owned, self._badges = self._owned | owned, self._badges | badges
        self._begun = self._won = False
        return dict(zip(EVENTS, happened, strict=True))

    def numbers(self) -> dict[str, int]:
        """Return measures of progress: how far the player is.

        ``maps`` seen in this episode, the party's size (``party``) and the sum of its ``levels``, ``species`` owned,
        ``badges``; and where the player stands: ``map`` (the game's number for it), ``x``, ``y`` (steps on the map).
        """
        memory = self._memory
        return {
            "maps": len(self._maps | {memory[MAP]}),
            "party": memory[PARTY_COUNT],
            "levels": sum(level for _, level in self._members()),
            "species": _bits(memory[OWNED]).bit_count(),
            "badges": memory[BADGES].bit_count(),
            "map": memory[MAP],
            "x": memory[X],
            "y": memory[Y],
        }

    def _fights(self) -> bool:
        return self._memory[IN_BATTLE] not in (0, LOST)

    def _members(self) -> list[tuple[bytes, int]]:
        """Return the members of the party and their levels.

        What makes one Pokemon another one than the next is its first trainer's number and its genes: they stay when
        the party is put in another order, and when it evolves.
        """
        count = min(self._memory[PARTY_COUNT], PARTY_SIZE)
        data = bytes(self._memory[PARTY : PARTY + RECORD * PARTY_SIZE])
        records = [data[RECORD * i : RECORD * (i + 1)] for i in range(count)]
        return [(r[TRAINER_ID : TRAINER_ID + 2] + r[GENES : GENES + 2], r[LEVEL]) for r in records]

    def _party_levels(self) -> dict[bytes, int]:
        levels: dict[bytes, int] = {}
        for who, level in self._members():
            levels[who] = max(level, levels.get(who, 0))
        return levels


def _bits(flags: list[int]) -> int:
    return int.from_bytes(bytes(flags), "little")
