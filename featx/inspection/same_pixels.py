"""Whether two pictures show the same, told from small grey copies: re-encoded, resized, brighter, flipped or cropped.

Windows of either picture are compared with the whole of the other by normalised correlation (Lewis, 1995, "Fast
Normalized Cross-Correlation"), which brightness and contrast do not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE = 96
"""Pixels of a side of the copies that are kept: 9 KB a picture."""

WINDOW_SIDE = 32
"""Pixels of a side of what is compared: fewer miss what tells bursts apart, more are upset by a shift of a pixel."""

WINDOW_SCALES = (1.0, 0.9, 0.8)
WINDOW_SHIFTS = (0.0, 0.5, 1.0)
"""Sides of a window as shares of the picture's, and where it lies: at the beginning, in the middle or at the end."""

PARTS = 100
"""Of so many parts of a side the edges of windows are counted: there are a few hundred spans, each computed once."""

STEPS = (4, 2, 1)
"""By how many parts the edges of the best window are moved in the end, as long as that brings it nearer."""

SMALLEST_WINDOW = 70
LEAST_GAIN = 1e-3
WORTH_REFINING = 0.6
"""Windows are not made smaller than so many parts of a side; a step must gain as much; and pictures whose windows
correlate less do not show the same however they are moved."""

SAME = 0.85
SAME_DETAIL = 0.6
"""Correlations from which on two pictures show the same. Of 160 copies each of flowers and of steel (JPEG 30, half the
size, a tenth cut off, mirrored, brighter) detail correlated by 0.76 or more, but for three that were brightened to
white; that of other pictures of the same class by 0.33 at most, though their pixels by up to 0.98."""

SAME_ACROSS = 0.52
"""Correlation of the detail that does not run in the main direction, from which on two pictures show the same. A stripe
correlates with any other stripe that it can be laid upon. Of 720 copies each as above it was 0.6 or more for steel, 0.9
for flowers; that of scratches in steel which only look alike was 0.46 at most, though their detail up to 0.86."""

WHITE = 250.0
BLACK = 5.0
"""Grey levels from which on, and up to which, a pixel counts as saturated."""

WORTH_CLIPPING = 0.02
"""Difference of the saturated shares of two pictures from which on it matters. Of 200 grey pictures of steel that were
brightened by 1.3, 13 copies were not found, most of them white to a half or more; 11 are now, and of 2,587 pairs of
other pictures none is."""

DIRECTIONS = 16
"""Directions that are told apart; the main one is taken away with its two neighbours."""

LEAST_ACROSS = 0.05
"""Part of the detail that has to be left without the main direction, for anything to be compared by it."""

WORTH_MOVING = 0.75
"""Correlation that the first steps must reach for smaller ones to be tried."""

MOVES = (
    *((1, 0, 0, 0), (-1, 0, 0, 0), (0, 1, 0, 0), (0, -1, 0, 0), (1, 1, 0, 0), (-1, -1, 0, 0)),
    *((0, 0, 1, 0), (0, 0, -1, 0), (0, 0, 0, 1), (0, 0, 0, -1), (0, 0, 1, 1), (0, 0, -1, -1)),
)
"""How the edges of a window are moved."""

CLEARLY_SAME = 0.95
"""Detail from which on no better window is looked for."""

MIRRORS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))
"""Axes that are mirrored: none, upside down, left and right, both."""

COARSE_SIDE = 16
"""Pixels of a side of what pairs are proposed by."""

Edges = tuple[int, int, int, int]
"""Upper, lower, left and right edge of a window, in parts of a side."""

FLAT = 1.0
"""Standard deviation in grey levels below which a picture shows nothing that could be compared."""


def is_comparable(picture: Image.Image) -> bool:
    """Whether a picture has as many pixels as are compared: smaller ones, such as digits, have no detail."""
    return min(picture.size) >= WINDOW_SIDE


def make_thumbnail(picture: Image.Image) -> NDArray[np.uint8]:
    """Make the small grey copy of a picture, its sides brought to one length: (96, 96) uint8."""
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(picture.convert("L").resize(side, Image.Resampling.BOX, reducing_gap=2.0))


def describe_detail(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe a thumbnail by what is left of its pixels without the smooth part: (14, 14) float32."""
    side = THUMBNAIL_SIDE // COARSE_SIDE
    coarse = thumbnail.astype(np.float32).reshape(COARSE_SIDE, side, COARSE_SIDE, side).mean(axis=(1, 3))
    return take_smooth_away(coarse)


@cache
def list_spans() -> tuple[tuple[int, int], ...]:
    """List the windows of one side, each by its beginning and end in parts of the side; the first is the whole."""
    spans = [(0, PARTS)]
    for scale in WINDOW_SCALES[1:]:
        length = round(PARTS * scale)
        starts = [round(shift * (PARTS - length)) for shift in WINDOW_SHIFTS]
        spans += [(start, start + length) for start in starts]
    return tuple(spans)


@cache
def window_matrix() -> NDArray[np.float32]:
    """Give the weights that average the pixels of a side into those of its windows: (windows * 32, 96) float32."""
    return np.concatenate([average_span(start, end) for start, end in list_spans()])


@cache
def average_span(start: int, end: int) -> NDArray[np.float32]:
    """Give the weights that average the pixels of a window of a side, in parts of it, into 32: (32, 96) float32."""
    edges = np.linspace(start, end, WINDOW_SIDE + 1) * THUMBNAIL_SIDE / PARTS
    pixels = np.arange(THUMBNAIL_SIDE)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.maximum(covered, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def cut_windows(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Cut all windows out of a thumbnail, (windows, 1024) float32 of mean 0 and length 1; the first is the whole."""
    weights = window_matrix()
    cut = weights @ thumbnail.astype(np.float32) @ weights.T
    count = len(weights) // WINDOW_SIDE
    windows = cut.reshape(count, WINDOW_SIDE, count, WINDOW_SIDE).swapaxes(1, 2)
    return normalise(windows.reshape(count * count, -1))


def normalise(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring rows to mean 0 and length 1; flat ones become zeros."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))[:, None]
    is_flat = lengths < FLAT * WINDOW_SIDE
    divisors = np.where(is_flat, np.float32(np.inf), lengths)
    normalised: NDArray[np.float32] = centred / divisors
    return normalised


@dataclass(frozen=True)
class Match:
    """How well two pictures agree where they agree best.

    Attributes
    ----------
    correlation : float
        Of their pixels, from -1 to 1.
    detail : float
        Of what is left of them when their smooth part is taken away.
    across : float
        Of what is left of that without what runs in the main direction of either, such as stripes.
    """

    correlation: float
    detail: float
    across: float

    def is_same(self, least_detail: float = SAME_DETAIL) -> bool:
        """Whether they show the same."""
        return self.correlation >= SAME and self.detail >= least_detail and self.across >= SAME_ACROSS


class Windows:
    """The windows of a picture, and its mirror images, ready to be compared.

    Parameters
    ----------
    thumbnail : (96, 96) uint8
        As `make_thumbnail` makes it.
    """

    def __init__(self, thumbnail: NDArray[np.uint8]) -> None:
        self.thumbnail = thumbnail
        self.pixels = thumbnail.astype(np.float32)
        self.white = float((thumbnail >= WHITE).mean())
        self.black = float((thumbnail <= BLACK).mean())
        self.windows = cut_windows(thumbnail)
        whole = self.windows[0].reshape(WINDOW_SIDE, WINDOW_SIDE)
        self.mirrored = np.stack([np.flip(whole, axes).reshape(-1) for axes in MIRRORS])


def compare_windows(first: Windows, second: Windows) -> Match:
    """Compare two pictures over windows of either, and both mirrored."""
    first, second = saturate_alike(first, second), saturate_alike(second, first)
    best = Match(-1.0, -1.0, -1.0)
    for target, cut in ((first, second), (second, first)):
        correlations = cut.windows @ target.mirrored.T
        place, mirror = np.unravel_index(int(correlations.argmax()), correlations.shape)
        highest = float(correlations[place, mirror])
        match = Match(highest, 0.0, 0.0)
        if highest >= SAME:
            match = Match(highest, *correlate_detail(cut.windows[place], target.mirrored[mirror]))
        if match.is_same(CLEARLY_SAME):
            return match
        if highest > WORTH_REFINING:
            match = refine(cut.pixels, target.mirrored[mirror], int(place))
        best = max(best, match, key=lambda each: each.correlation)
    return best


def saturate_alike(picture: Windows, other: Windows) -> Windows:
    """Saturate a picture in as many places as another one: a brightened copy has lost what was brightest there."""
    clipped = picture.thumbnail
    if other.white > picture.white + WORTH_CLIPPING:
        clipped = np.minimum(clipped, np.quantile(clipped, 1 - other.white)).astype(np.uint8)
    if other.black > picture.black + WORTH_CLIPPING:
        clipped = np.maximum(clipped, np.quantile(clipped, other.black)).astype(np.uint8)
    return picture if clipped is picture.thumbnail else Windows(clipped)


def refine(pixels: NDArray[np.float32], target: NDArray[np.float32], place: int) -> Match:
    """Move the edges of a window as long as its correlation with a target (1024,) rises."""
    spans = list_spans()
    row, column = divmod(place, len(spans))
    edges: Edges = (*spans[row], *spans[column])
    rates: dict[Edges, float] = {}
    best = -1.0
    for step in STEPS:
        is_rising = True
        while is_rising:
            tried = move_edges(edges, step)
            # About half of them were tried a move before.
            untried = [each for each in tried if each not in rates]
            if untried:
                rates.update(zip(untried, (cut_at(pixels, untried) @ target).tolist(), strict=True))
            highest = max(tried, key=rates.__getitem__)
            is_rising = rates[highest] > best + LEAST_GAIN
            if is_rising:
                best = rates[highest]
                edges = highest
        if best < WORTH_MOVING:
            break
    return Match(best, *correlate_detail(cut_at(pixels, [edges])[0], target))


def correlate_detail(window: NDArray[np.float32], target: NDArray[np.float32]) -> tuple[float, float]:
    """Correlate two windows (1024,) without their smooth parts, and then without their main directions, too."""
    sharp = [take_smooth_away(each.reshape(WINDOW_SIDE, WINDOW_SIDE)) for each in (window, target)]
    lengths = [float(np.linalg.norm(each)) for each in sharp]
    # Of two pictures that are smooth altogether, their correlation says all.
    if min(lengths) == 0:
        return 1.0, 1.0
    detail = float(np.vdot(*sharp)) / (lengths[0] * lengths[1])
    spectra = [np.fft.fft2(each * fading()) for each in sharp]
    is_left = find_other_directions(spectra[0]) & find_other_directions(spectra[1])
    left = [spectrum[is_left] for spectrum in spectra]
    lengths_left = [float(np.linalg.norm(each)) for each in left]
    if any(after < LEAST_ACROSS * np.linalg.norm(before) for after, before in zip(lengths_left, spectra, strict=True)):
        return detail, detail
    # By Parseval's theorem the spectra correlate as the pictures do.
    return detail, float(np.vdot(*left).real) / (lengths_left[0] * lengths_left[1])


@cache
def fading() -> NDArray[np.float64]:
    """Give the weights that let a window fade out towards its edges, which would count as stripes: (30, 30)."""
    weights = np.hanning(WINDOW_SIDE - 2)
    faded: NDArray[np.float64] = np.outer(weights, weights)
    return faded


@cache
def list_directions() -> NDArray[np.intp]:
    """Tell the number of the direction of each frequency of a window's detail, opposite ones alike: (30, 30)."""
    frequencies = np.fft.fftfreq(WINDOW_SIDE - 2)
    angles = np.arctan2(frequencies[:, None], frequencies[None, :]) / np.pi
    numbers: NDArray[np.intp] = np.floor(angles * DIRECTIONS + 0.5).astype(np.intp) % DIRECTIONS
    return numbers


def find_other_directions(spectrum: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """Find the frequencies of a spectrum that are not of its main direction: (30, 30) bool."""
    directions = list_directions()
    energies = np.bincount(directions.ravel(), (np.abs(spectrum) ** 2).ravel(), DIRECTIONS)
    main = int((energies + np.roll(energies, 1) + np.roll(energies, -1)).argmax())
    distances = (directions - main) % DIRECTIONS
    is_other: NDArray[np.bool_] = (distances > 1) & (distances < DIRECTIONS - 1)
    return is_other


def take_smooth_away(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the mean of the pixels around each pixel away, three by three: (32, 32) to (30, 30)."""
    rows = window[:-2] + window[1:-1] + window[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    detail: NDArray[np.float32] = window[1:-1, 1:-1] - around / 9
    return detail - detail.mean()


def move_edges(edges: Edges, step: int) -> list[Edges]:
    """List a window, and those in which one edge, or two opposite ones, move: all in the picture, and not too small."""
    top, bottom, left, right = edges
    moved = [edges]
    for up, down, before, behind in MOVES:
        tried = (top + step * up, bottom + step * down, left + step * before, right + step * behind)
        is_inside = min(tried) >= 0 and max(tried) <= PARTS
        if is_inside and min(tried[1] - tried[0], tried[3] - tried[2]) >= SMALLEST_WINDOW:
            moved.append(tried)
    return moved


def cut_at(pixels: NDArray[np.float32], windows: Sequence[Edges]) -> NDArray[np.float32]:
    """Cut windows out of a thumbnail (96, 96): (m, 1024) float32 of mean 0 and length 1."""
    # Half of the windows share their upper and lower edge.
    of_rows = {(top, bottom): average_span(top, bottom) @ pixels for top, bottom, _, _ in windows}
    cut = [of_rows[top, bottom] @ average_span(left, right).T for top, bottom, left, right in windows]
    return normalise(np.stack(cut, dtype=np.float32).reshape(len(windows), -1))
