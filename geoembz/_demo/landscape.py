"""A made-up landscape: land cover on a terrain, and what varies within a cover.

Everything follows from the terrain, as it does outside: woods stand high and steep and along the
water, fields lie in blocks between tracks, meadows where it is wet, the town at the river.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz._demo.fields import Floats, draw_field, paint_line, standardize, within
from geoembz._demo.parcels import Parcels
from geoembz._demo.terrain import Terrain, Town

COVERS = (
    *("water", "houses", "sealed", "broadleaved wood", "coniferous wood"),
    *("grassland", "reed", "cereal", "maize", "rapeseed", "bare soil"),
)
WATER, HOUSES, SEALED, BROADLEAVED, CONIFEROUS, GRASS, REED, CEREAL, MAIZE, RAPE, BARE = range(11)
FIELDS = (
    *("height", "light", "soil", "moisture", "vigour", "season", "density"),
    *("fine texture", "middle texture", "coarse texture"),
)

_TEXTURES = ((3, 1.2), (8, 1.8), (24, 2.2))
"""Longest wavelength (pixels) and slope of each texture."""
_ROUGHNESS = np.array([0.15, 1.2, 0.8, 1.0, 0.8, 0.4, 0.7, 0.25, 0.3, 0.25, 0.5], np.float32)
"""How much texture each cover has."""
_CROPS = np.array([CEREAL, MAIZE, RAPE, CEREAL, MAIZE, GRASS, BARE], np.uint8)
_CROP_SHARES = np.array([0.3, 0.2, 0.16, 0.12, 0.08, 0.11, 0.03])
_AFTER_CEREAL = np.array([MAIZE, RAPE, MAIZE, RAPE, CEREAL], np.uint8)
_WOODED, _FELLED = 0.3, 0.05
_FULL_SIZE = 512
_LONGEST_BRIDGE = 26
"""In steps of half a pixel of a scene in full size."""


@dataclass(frozen=True)
class Landscape:
    """What lies where.

    Parameters
    ----------
    cover
        uint8, shape ``(y, x)``: index into `COVERS`.
    fields
        float32, shape ``(len(FIELDS), y, x)``: what varies within a cover, of about unit variance.
    """

    cover: NDArray[np.uint8]
    fields: Floats

    @classmethod
    def draw(cls, size: int, seed: int, *, later: bool = False) -> Self:
        """Draw a landscape of `size` x `size` pixels; below 512 it is one in miniature.

        A year `later` crops have rotated, some stands are felled and the settlements have grown.
        """
        rng = np.random.default_rng([seed, 1])
        year = np.random.default_rng([seed, 4]) if later else None
        scale = min(1.0, (size / _FULL_SIZE) ** 0.5)
        terrain = Terrain.draw(rng, size, scale)
        town = Town.draw(rng, terrain, scale)
        parcels, stands = Parcels.fields(rng, size, scale), Parcels.stands(rng, size, scale)
        soil = draw_field(rng, size, 110 * scale, 1.9)
        wet = np.exp(-terrain.to_stream / 25) + 0.12 * soil - 0.1 * terrain.slope
        moisture = standardize(wet)
        cover = _farm(rng, terrain, parcels, moisture, year)
        _forest(rng, cover, terrain, parcels, stands, scale, year)
        _settle(cover, town, parcels, year)
        _flood(rng, cover, terrain, scale)
        _lead_roads(cover, town, scale)
        light = np.where(cover == WATER, 0, terrain.light)
        growth = [_draw_growth(rng, cover, parcels, stands, year) for _ in range(2)]
        textures = _draw_textures(rng, cover, scale)
        height = standardize(terrain.height)
        fields = (height, light, soil, moisture, *growth, town.density, *textures)
        return cls(cover, np.stack(fields).astype(np.float32))


def _draw_growth(
    rng: np.random.Generator,
    cover: NDArray[np.uint8],
    parcels: Parcels,
    stands: Parcels,
    year: np.random.Generator | None,
) -> Floats:
    """Return one number for each field and each stand of trees, 0 where nothing grows."""
    trees, fields = (parts.spread(rng.standard_normal) for parts in (stands, parcels))
    if year is not None:
        fields = parcels.spread(year.standard_normal)
    growth = np.where(np.isin(cover, (BROADLEAVED, CONIFEROUS)), trees, fields)
    growth[np.isin(cover, (WATER, HOUSES, SEALED))] = 0
    return growth


def _draw_textures(
    rng: np.random.Generator, cover: NDArray[np.uint8], scale: float
) -> list[Floats]:
    """Return texture at three scales, stronger in rough covers."""
    return [
        _ROUGHNESS[cover] * draw_field(rng, len(cover), length * scale, slope)
        for length, slope in _TEXTURES
    ]


def _farm(
    rng: np.random.Generator,
    terrain: Terrain,
    parcels: Parcels,
    moisture: Floats,
    year: np.random.Generator | None,
) -> NDArray[np.uint8]:
    """Return a crop for every parcel; where it is wet or steep, a meadow."""
    crop = rng.choice(_CROPS, parcels.count, p=_CROP_SHARES)
    if year is not None:
        after_cereal = year.choice(_AFTER_CEREAL, parcels.count)
        rotated = np.where(crop == CEREAL, after_cereal, np.uint8(CEREAL))
        crop = np.where(crop == GRASS, crop, rotated)
    meadow = 0.9 * parcels.mean(moisture) + 0.5 * parcels.mean(terrain.slope)
    meadow += 0.7 * rng.standard_normal(parcels.count)
    return np.where(meadow > 1.1, np.uint8(GRASS), crop)[parcels.number]


def _forest(
    rng: np.random.Generator,
    cover: NDArray[np.uint8],
    terrain: Terrain,
    parcels: Parcels,
    stands: Parcels,
    scale: float,
    year: np.random.Generator | None,
) -> None:
    """Let woods grow on hills, stand by stand of one kind, some felled, and along the water."""
    size = len(cover)
    wild = terrain.height + 0.25 * terrain.slope + 0.28 * draw_field(rng, size, 90 * scale, 1.7)
    wild = 0.45 * wild + 0.55 * parcels.mean(wild)[parcels.number]
    wood = wild > np.quantile(wild, 1 - _WOODED)
    high = terrain.height > np.median(terrain.height)
    kind = np.where(stands.spread(rng.random) < 0.15 + 0.5 * high, CONIFEROUS, BROADLEAVED)
    felled = _FELLED if year is None else 2 * _FELLED
    kind = np.where(stands.spread(rng.random) < felled, BARE, kind)
    cover[wood] = kind[wood]
    ragged = draw_field(rng, size, 14 * scale, 1.4)
    cover[parcels.verges & ~wood] = GRASS
    cover[terrain.to_stream < 3.2 + 2.4 * ragged] = BROADLEAVED
    cover[(terrain.to_river < 9.5 + 4 * ragged) & (ragged > -0.7)] = BROADLEAVED


def _settle(
    cover: NDArray[np.uint8], town: Town, parcels: Parcels, year: np.random.Generator | None
) -> None:
    """Build tracks, the town's blocks of houses, halls and parks, and roads."""
    wooded = np.isin(cover, (BROADLEAVED, CONIFEROUS))
    cover[parcels.tracks & ~wooded] = BARE
    halls = town.use < 0.26 + 0.5 * (town.density > 0.62)
    choices = [town.streets, town.use < 0.12, halls, town.use > 0.93]
    built = np.select(choices, [SEALED, GRASS, SEALED, BROADLEAVED], HOUSES)
    settled = town.density > 0
    if year is not None:
        new = (parcels.mean(town.density) > -0.4) & (year.random(parcels.count) < 0.35)
        settled |= new[parcels.number] & ~wooded
    cover[settled] = built[settled]


def _flood(
    rng: np.random.Generator, cover: NDArray[np.uint8], terrain: Terrain, scale: float
) -> None:
    """Fill the river, and the lake with its reeds."""
    ragged = draw_field(rng, len(cover), 14 * scale, 1.6)
    cover[terrain.to_shore < 2.5 + 2 * ragged] = REED
    cover[(terrain.to_shore < 0) | (terrain.to_river < 3 + 0.5 * ragged)] = WATER


def _lead_roads(cover: NDArray[np.uint8], town: Town, scale: float) -> None:
    """Pave the roads; a bridge crosses water where it is narrow."""
    longest = int(_LONGEST_BRIDGE * scale)
    for road in town.roads:
        points = within(road, cover.shape)
        rows, cols = points.astype(int)
        wet = np.concatenate([[False], cover[rows, cols] == WATER, [False]])
        shores = np.flatnonzero(wet[1:] != wet[:-1])
        for start, end in shores.reshape(-1, 2):
            if end - start > longest:
                points[:, start:end] = -1
        paint_line(cover, points, SEALED)
