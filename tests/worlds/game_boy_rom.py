"""A tiny Game Boy game, assembled by hand: every button changes a byte where Pokemon Red keeps its progress.

It stands in for the cartridge, which cannot be shipped, so that the tests run the real emulator on real code. It has
nothing of the original but the title and the addresses. The header's picture of a logo is left out: PyBoy does not look
at it.
"""

import io
from pathlib import Path

LEFT_FRAMES, FRAMES = 0xC001, 0xC002  # for how many frames LEFT was down; how many frames have passed (modulo 256)
MAP, PARTY_COUNT, LEVEL, BADGES, IN_BATTLE = 0xD35E, 0xD163, 0xD18C, 0xD356, 0xD057
BOOT_FRAMES = 80  # after so many the game runs
FIRST_LEVEL = 5


def low_high(address: int) -> bytes:
    return address.to_bytes(2, "little")


def store(value: int, address: int) -> bytes:
    return b"\x3e" + bytes([value]) + b"\xea" + low_high(address)  # ld a, value; ld [address], a


def add_one(address: int) -> bytes:
    return b"\x21" + low_high(address) + b"\x34"  # ld hl, address; inc [hl]


def when(bit: int, body: bytes) -> bytes:
    """Run ``body`` if this bit of C is set."""
    return bytes([0xCB, 0x41 | bit << 3, 0x28, len(body)]) + body  # bit n, c; jr z, behind the body


RIGHT_BIT, LEFT_BIT, UP_BIT, DOWN_BIT, A_BIT, B_BIT = range(6)
WAIT_FOR_LINE_144 = b"\xf0\x44\xfe\x90\x20\xfa"  # ldh a, [LY]; cp 144; jr nz, back
WAIT_FOR_ANOTHER_LINE = b"\xf0\x44\xfe\x90\x28\xfa"  # the same with jr z

SET_UP = (
    b"\xf3"  # di
    + WAIT_FOR_LINE_144
    + b"\xaf\xe0\x40"  # xor a; ldh [LCDC], a: the screen goes off
    # Tile 0, eight rows of four light and four dark pixels: ld hl, 8000h; ld b, 8; ld a, 0fh; ld [hl+], a; ...
    + b"\x21\x00\x80\x06\x08\x3e\x0f\x22\xaf\x22\x05\x20\xf8"
    + b"\x3e\x91\xe0\x40"  # ld a, 91h; ldh [LCDC], a: the screen goes on
    + store(1, PARTY_COUNT)
    + store(FIRST_LEVEL, LEVEL)
)
READ_BUTTONS = (
    b"\x3e\x20\xe0\x00\xf0\x00\xf0\x00\x2f\xe6\x0f\x47"  # the four directions into B's lower half
    b"\x3e\x10\xe0\x00\xf0\x00\xf0\x00\x2f\xe6\x0f\xcb\x37\xb0\x47"  # the four buttons into its upper half
    b"\x21\x00\xc0\x7e\x2f\xa0\x70\x4f"  # C: those that were not down a frame ago; remember B at C000h
)
LOOP = (
    WAIT_FOR_LINE_144
    + add_one(FRAMES)
    + READ_BUTTONS
    + when(RIGHT_BIT, add_one(MAP))
    + when(UP_BIT, add_one(PARTY_COUNT))
    + when(DOWN_BIT, b"\x21" + low_high(IN_BATTLE) + b"\x7e\xee\x01\x77")  # ld a, [hl]; xor 1; ld [hl], a
    + when(A_BIT, add_one(LEVEL))
    + when(B_BIT, b"\x21" + low_high(BADGES) + b"\xcb\xc6")  # set 0, [hl]
    + b"\x79\xb7\x28\x05\xf0\x47\x3c\xe0\x47"  # if any button went down: the next of the palettes
    + b"\x48"  # ld c, b: what is down, new or not
    + when(LEFT_BIT, add_one(LEFT_FRAMES))
    + WAIT_FOR_ANOTHER_LINE
)


def game_boy_rom(title: str = "POKEMON RED", *, saves_games: bool = False) -> bytes:
    """A ROM of 32 KiB; with ``saves_games``, on a cartridge with a battery."""
    rom = bytearray(2**15)
    rom[0x100:0x104] = b"\x00\xc3\x50\x01"  # nop; jp 0150h
    rom[0x134:0x143] = title.encode().ljust(15, b"\0")
    rom[0x147], rom[0x149] = (0x13, 0x03) if saves_games else (0, 0)
    rom[0x14D] = sum(-byte - 1 for byte in rom[0x134:0x14D]) % 256
    code = SET_UP + LOOP + b"\xc3" + low_high(0x150 + len(SET_UP))  # jp to the loop
    rom[0x150 : 0x150 + len(code)] = code
    return bytes(rom)


def save_state(path: Path, *buttons: str, rom: bytes | None = None) -> Path:
    """Play the ROM as a user does, with sound; press these buttons and save the state."""
    from pyboy import PyBoy

    game = PyBoy(io.BytesIO(rom or game_boy_rom()), window="null")
    game.set_emulation_speed(0)
    game.tick(BOOT_FRAMES, False)
    for button in buttons:
        game.button_press(button)
        game.tick(4, False)
        game.button_release(button)
        game.tick(4, True)
    with path.open("wb") as file:
        game.save_state(file)
    game.stop(save=False)
    return path
