"""Settings of the paper's training pairs (section 2.2.2), free of imports: the command line is filled from here."""

from __future__ import annotations

from dataclasses import dataclass

from relion_ganpick.core.errors import GanpickError

SMALLEST_SIZE = 32


@dataclass(frozen=True)
class PairSettings:
    """What the pairs of Algorithm 2 are drawn from; ranges are (lowest, highest).

    Attributes
    ----------
    pairs
        Number of pairs.
    size
        Side of the pictures in pixels.
    shape_diameter
        Side in pixels that the shapes of one picture are resized to.
    shape_number
        Number of shapes thrown on one picture; cut where number times diameter squared would be more than the picture's area.
    walk_length
        Steps of a shape's random walk, the n of Algorithm 1.
    fade
        Factor that a shape, 0 to 255, is multiplied by before it is subtracted.
    marker_size
        Side of the black squares in pixels.
    noise_spread
        Standard deviation in grey values of a background of pure noise.
    noise_colour
        Exponent of a background of pure noise: its amplitudes fall with this power of the frequency; 0 is white.
    smoothing
        Standard deviation in pixels of the Gaussian that shapes and a background of pure noise are smoothed with.
    seed
        Names all random streams.
    """

    pairs: int = 100
    size: int = 512
    shape_diameter: tuple[int, int] = (8, 14)
    shape_number: tuple[int, int] = (50, 800)
    walk_length: tuple[int, int] = (15, 100)
    fade: tuple[float, float] = (0.15, 0.35)
    marker_size: int = 9
    noise_spread: tuple[float, float] = (5.0, 18.0)
    noise_colour: tuple[float, float] = (0.0, 0.8)
    smoothing: tuple[float, float] = (0.5, 1.5)
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("shape_diameter", "shape_number", "walk_length", "fade", "noise_spread", "noise_colour", "smoothing"):
            low, high = getattr(self, name)
            object.__setattr__(self, name, (low, high))
            least, most = RANGES[name]
            if not least <= low <= high <= most:
                limit = f"between {least:g} and {most:g}" if most < float("inf") else f"of at least {least:g}"
                raise GanpickError(f"`{name}` {low:g} {high:g}: give two numbers {limit}, the lower one first")
        for name, least in (("pairs", 1), ("size", SMALLEST_SIZE), ("marker_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise GanpickError(f"`{name}` {getattr(self, name)}: give at least {least}")
        if self.shape_diameter[1] > self.size:
            given = "{} {}".format(*self.shape_diameter)
            raise GanpickError(f"`shape_diameter` {given}: larger than the picture of {self.size} pixels")


RANGES = {
    "shape_diameter": (2.0, float("inf")),
    "shape_number": (0.0, float("inf")),
    "walk_length": (1.0, float("inf")),
    "fade": (0.0, 1.0),
    "noise_spread": (1.0, 127.0),
    "noise_colour": (0.0, 2.0),
    "smoothing": (0.0, 20.0),
}
