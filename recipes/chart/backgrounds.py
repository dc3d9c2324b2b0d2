"""Photo-like backgrounds from a small bank of 1/f noise.

Natural images have amplitude spectra near 1/f, and codecs are tuned to them. Each field of the bank
is periodic noise with such a spectrum, isotropic or stretched, and every image uses other windows
of it. All arrays are float32: fields (224, 224) around 0 with unit variance, or colours
(3, 224, 224) in 0..255. Colours are planes, because arithmetic on them is four times as fast as on
interleaved pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from recipes.chart.scene import SIZE_PX, Rng

Floats32 = npt.NDArray[np.float32]

_BANK_PX = 384
_COPIES = 3
_SPECTRA = {  # name: (exponent of 1/f, stretch along x, stretch along y)
    "rough": (0.9, 1.0, 1.0),
    "cloud": (1.7, 1.6, 1.0),
    "wide": (1.2, 7.0, 1.0),
    "tall": (1.1, 1.0, 5.0),
}
_Y = np.linspace(0.0, 1.0, SIZE_PX, dtype=np.float32)[:, None]
_X = np.linspace(0.0, 1.0, SIZE_PX, dtype=np.float32)[None, :]


@cache
def _bank(name: str) -> Floats32:
    """Periodic noise (copies, 384, 384), equal in every process."""
    exponent, along_x, along_y = _SPECTRA[name]
    rng = np.random.default_rng([len(name), *name.encode()])
    fy = np.fft.fftfreq(_BANK_PX)[:, None] * along_y
    fx = np.fft.rfftfreq(_BANK_PX)[None, :] * along_x
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    # Waves longer than a quarter of the bank would make whole images dark or light.
    amplitude = np.maximum(radius, 3.0 / _BANK_PX) ** -exponent
    amplitude[0, 0] = 0.0
    fields = []
    for _ in range(_COPIES):
        spectrum = np.fft.rfft2(rng.standard_normal((_BANK_PX, _BANK_PX))) * amplitude
        field = np.fft.irfft2(spectrum, s=(_BANK_PX, _BANK_PX))
        fields.append((field / field.std()).astype(np.float32))
    return np.stack(fields)


def noise(name: str, rng: Rng) -> Floats32:
    """A (224, 224) window of the bank, mirrored at random."""
    copy = int(rng.integers(_COPIES))
    y, x = (int(v) for v in rng.integers(0, _BANK_PX - SIZE_PX + 1, 2))
    window = _bank(name)[copy, y : y + SIZE_PX, x : x + SIZE_PX]
    return window[:, ::-1] if rng.random() < 0.5 else window


def _tint(field: Floats32, *rgb: float) -> Floats32:
    return field * _flat(*rgb)


def _blend(a: Floats32, b: Floats32, share_of_b: Floats32) -> Floats32:
    return a + (b - a) * share_of_b


def _flat(*rgb: float) -> Floats32:
    return np.array(rgb, dtype=np.float32).reshape(3, 1, 1)


def _ramp(top: tuple[float, ...], bottom: tuple[float, ...]) -> Floats32:
    return _blend(_flat(*top), _flat(*bottom), _Y)


def _below(horizon: float, rng: Rng, wobble: float = 0.015) -> Floats32:
    """1 below the horizon, 0 above, with a soft uneven edge."""
    line = horizon + wobble * noise("cloud", rng)[:1]
    return np.clip((_Y - line) * 60 + 0.5, 0.0, 1.0).astype(np.float32)


def _pale_sky(rng: Rng) -> Floats32:
    return _ramp((150, 185, 225), (215, 225, 230)) + _tint(noise("cloud", rng), 9, 8, 5)


def _sky(rng: Rng) -> Floats32:
    clouds = np.clip(noise("cloud", rng) * 0.55 + 0.05 + 0.3 * _Y, 0.0, 1.0)
    white = _flat(240, 242, 245) + _tint(noise("rough", rng), 6, 6, 6)
    return _blend(_ramp((60, 120, 205), (150, 195, 235)), white, (clouds * 0.8).astype(np.float32))


def _grass(rng: Rng) -> Floats32:
    blades = noise("tall", rng) * (0.5 + 0.9 * _Y)
    meadow = _ramp((105, 150, 75), (70, 125, 45)) + _tint(blades, 17, 19, 11)
    return _blend(_pale_sky(rng), meadow, _below(rng.uniform(0.16, 0.3), rng))


def _sand(rng: Rng) -> Floats32:
    ripples = noise("wide", rng) * (0.5 + 0.8 * _Y) + 0.5 * noise("rough", rng)
    dunes = _ramp((225, 195, 140), (205, 165, 105)) + _tint(ripples, 11, 11, 9)
    return _blend(_pale_sky(rng), dunes, _below(rng.uniform(0.16, 0.32), rng, 0.03))


def _water(rng: Rng) -> Floats32:
    waves = noise("wide", rng) * (0.4 + 1.1 * _Y)
    sea = _ramp((60, 135, 150), (15, 75, 105)) + _tint(waves, 20, 24, 22)
    return _blend(_pale_sky(rng), sea, _below(rng.uniform(0.12, 0.24), rng, 0.002))


def _snow(rng: Rng) -> Floats32:
    drifts = noise("cloud", rng) + 0.35 * noise("rough", rng)
    field = _ramp((225, 232, 242), (236, 240, 246)) + _tint(drifts, 12, 9, 6)
    grey = _ramp((120, 135, 155), (165, 178, 192)) + _tint(noise("cloud", rng), 8, 8, 8)
    return _blend(grey, field, _below(rng.uniform(0.18, 0.3), rng, 0.03))


def _street(rng: Rng) -> Floats32:
    horizon = float(rng.uniform(0.24, 0.34))
    asphalt = _ramp((125, 124, 126), (96, 95, 98)) + _tint(noise("rough", rng), 12, 12, 12)
    # The lane marks converge at one vanishing point; nearer dashes are longer.
    depth = np.maximum((_Y - horizon) / (1 - horizon), 1e-3)
    middle = float(rng.uniform(0.35, 0.65))
    side = np.abs(_X - middle) / (0.02 + depth)
    dashes = (side < 0.035) & (np.sin(9.0 / (depth + 0.25)) > 0)
    kerb = (side > 0.85) & (side < 0.9)
    road = asphalt + np.float32(85) * (dashes | kerb)
    road = road + _flat(48, 40, 30) * (side >= 0.9)
    # Houses: columns of one colour each, with a grid of windows.
    count = int(rng.integers(5, 8))
    column = np.minimum((_X[0] * count).astype(np.int64), count - 1)
    facades = rng.uniform((120, 80, 65), (190, 150, 130), (count, 3)).astype(np.float32)
    roofs = rng.uniform(0.0, 0.12, count).astype(np.float32)[column]
    windows = (np.sin(_X * count * 6 * np.pi) > 0.2) & (np.sin(_Y * 95) > 0.1)
    houses = facades.T[:, column][:, None]
    houses = houses - np.float32(55) * windows + _tint(noise("rough", rng), 6, 6, 6)
    houses = np.where(roofs[None] < _Y, houses, _flat(190, 205, 220))
    return np.where(horizon < _Y, road, houses)


def _room(rng: Rng) -> Floats32:
    floor_line = float(rng.uniform(0.62, 0.74))
    wall_rgb = ((222, 205, 180), (196, 205, 190), (214, 190, 185))[int(rng.integers(3))]
    stripes = np.where(np.sin(_X * rng.uniform(55, 80)) > 0, 6.0, -6.0)
    wall = _flat(*wall_rgb) + (stripes + 4 * noise("rough", rng)).astype(np.float32)
    planks = noise("wide", rng) - 2.0 * (
        np.sin(np.sqrt(np.maximum(_Y - floor_line, 0.0)) * 60) > 0.93
    )
    with_floor = _flat(150, 100, 62) + _tint(planks.astype(np.float32), 13, 10, 8)
    board = (floor_line - 0.03 < _Y) & (floor_line >= _Y)
    wall = np.where(board, _flat(238, 232, 222), wall)
    return np.where(floor_line < _Y, with_floor, wall)


def _forest(rng: Rng) -> Floats32:
    leaves = _ramp((45, 85, 40), (28, 58, 28)) + _tint(noise("rough", rng), 19, 25, 13)
    row = noise("tall", rng)[100:101] + 0.25 * noise("tall", rng)
    trunks = np.clip((row - 0.55) * 5, 0.0, 1.0) * (_Y > 0.1)
    bark = _flat(88, 66, 48) + _tint(noise("tall", rng), 13, 11, 9)
    ground = _flat(82, 68, 42) + _tint(noise("rough", rng), 13, 12, 8)
    return _blend(
        _blend(leaves, bark, trunks.astype(np.float32)),
        ground,
        _below(rng.uniform(0.74, 0.84), rng),
    )


def _paper(rng: Rng) -> Floats32:
    tint = ((244, 240, 228), (238, 240, 242), (246, 236, 214))[int(rng.integers(3))]
    sheet = _flat(*tint) + _tint(noise("rough", rng) + noise("cloud", rng), 3.5, 3.5, 4)
    if rng.random() < 0.5:  # ruled paper
        lines = np.abs((_Y * SIZE_PX + rng.uniform(0, 28)) % 28 - 14) < 0.8
        sheet = sheet - lines * _flat(32, 26, 13)
    return sheet


_PAINTERS = {
    "sky": _sky, "grass": _grass, "sand": _sand, "water": _water, "snow": _snow,
    "street": _street, "room": _room, "forest": _forest, "paper": _paper,
}  # fmt: skip


def paint(background: str, rng: Rng) -> Floats32:
    """(3, 224, 224) colours of one of BACKGROUNDS or "paper"; values may slightly exceed 0..255."""
    return np.asarray(_PAINTERS[background](rng), dtype=np.float32)


def light_field(light: str, rng: Rng) -> Floats32:
    """(3, 224, 224) factors: a gradient, brighter and darker patches, and the tint of day or
    night."""
    angle = rng.uniform(0, 2 * np.pi)
    slope = (_X - 0.5) * np.cos(angle) + (_Y - 0.5) * np.sin(angle)
    field = 1.0 + rng.uniform(0.08, 0.3) * slope + 0.035 * noise("cloud", rng)
    if light == "night":
        gain = rng.uniform(0.85, 1.1)
        return _tint(field.astype(np.float32), 0.5 * gain, 0.55 * gain, 0.7 * gain)
    warmth = rng.uniform(-0.05, 0.05)
    gain = rng.uniform(0.9, 1.06)
    return _tint(field.astype(np.float32), gain + warmth, gain, gain - warmth)
