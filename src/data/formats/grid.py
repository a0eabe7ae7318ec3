"""Where the pixels of an image lie in space: in mm to the patient's left, back and head (LPS), as DICOM and ITK do."""

import dataclasses
import functools
import itertools

import numpy as np

Triple = tuple[float, float, float]

# Slices as viewers show them: rows run down, columns to the right. The third letter, the direction from one slice to
# the next, is the file's own, so that slices keep the file's order.
_DISPLAYED = {"S": "LP", "L": "PI", "P": "LI"}
_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))

# Pixel distances that differ by less count as equal: headers hold rounded numbers.
_SAME_SPACING = 0.01


@dataclasses.dataclass(frozen=True)
class Block:
    """A regular grid of pixels, of an array (slices, rows, columns).

    size: (columns, rows, slices). origin: the first pixel's centre in mm. spacing: distances of pixel centres in mm.
    direction: 3 x 3 matrix, row by row; its columns are the directions in which columns, rows and slices are counted.
    """

    size: tuple[int, int, int]
    origin: Triple = (0.0, 0.0, 0.0)
    spacing: Triple = (1.0, 1.0, 1.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def axes(self) -> np.ndarray:
        """The direction as an array (3, 3)."""
        return np.array(self.direction).reshape(3, 3)

    @property
    def normal(self) -> np.ndarray:
        """The direction in which slices are counted, (3,)."""
        return self.axes[:, 2]

    @property
    def code(self) -> str:
        """The direction in letters, such as "LPS": columns to the left, rows to the back, slices to the head."""
        axes = self.axes
        order = max(itertools.permutations(range(3)), key=lambda order: sum(abs(axes[order[i], i]) for i in range(3)))
        return "".join(_LETTERS[order[i]][int(axes[order[i], i] < 0)] for i in range(3))

    @property
    def is_default(self) -> bool:
        """Whether it is what libraries write if no place is given: origin 0, spacing 1, identity in LPS or RAS."""
        identities = (np.eye(3), np.diag([-1.0, -1.0, 1.0]))
        nowhere = not any(self.origin) and np.allclose(self.spacing, 1)
        return nowhere and any(np.allclose(self.axes, identity) for identity in identities)

    def to_mm(self, indices: np.ndarray) -> np.ndarray:
        """The places of pixels in mm, (n, 3), from their (column, row, slice), (n, 3)."""
        return np.array(self.origin) + (np.asarray(indices) * self.spacing) @ self.axes.T

    def to_indices(self, points: np.ndarray) -> np.ndarray:
        """The (column, row, slice) of points in mm, both (n, 3), with fractions. The inverse of `to_mm`."""
        return (np.asarray(points) - self.origin) @ self.axes / self.spacing

    def centre(self) -> np.ndarray:
        """Its centre in mm, (3,)."""
        return self.to_mm((np.array(self.size) - 1) / 2)

    def moved(self, indices: np.ndarray, size: tuple[int, int, int]) -> "Block":
        """The block of `size` in the same lattice whose first pixel is this one's pixel `indices`, (3,)."""
        return dataclasses.replace(self, size=size, origin=_triple(self.to_mm(indices)))

    def matches(self, other: "Block") -> bool:
        """Whether both have the same pixels: no centre differs by more than 1 % of a pixel."""
        if self.size != other.size:
            return False
        corners = np.array(list(itertools.product(*((0, count - 1) for count in self.size))))
        return bool(np.abs(self.to_indices(other.to_mm(corners)) - corners).max() < 0.01)


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where an image's slices lie.

    blocks: one for a volume's file; one per slice, each with its own place, for DICOM.
    orientation: how a volume's slices are shown, such as "LPS"; None for DICOM, which is shown as stored.
    placed: False where the file gives no place: then only sizes and spacing of the blocks count.
    """

    blocks: tuple[Block, ...]
    orientation: str | None = None
    placed: bool = True

    @functools.cached_property
    def planes(self) -> tuple[Block, ...]:
        """The block of each slice as it is shown, in the order of the image's slices."""
        if self.orientation is None:
            return self.blocks
        shown = turned_block(self.blocks[0], self.orientation)
        columns, rows, count = shown.size
        return tuple(shown.moved(np.array([0, 0, index]), (columns, rows, 1)) for index in range(count))

    @property
    def is_shown_as_stored(self) -> bool:
        """Whether the order of the pixels in the file is the order in which they are shown."""
        return self.orientation in (None, self.blocks[0].code)

    def only(self, index: int) -> "Grid":
        """The grid of one slice as it is shown."""
        return Grid((self.planes[index],), None, self.placed)

    def slice_distance(self) -> float:
        """The smallest distance of two slices along their normal, in mm; the slice's thickness if there is one."""
        places = np.sort(self.positions())
        return float(np.diff(places).min()) if len(places) > 1 else self.planes[0].spacing[2]

    def positions(self) -> np.ndarray:
        """Where each slice lies along the first one's normal, in mm."""
        return np.array([np.dot(plane.origin, self.planes[0].normal) for plane in self.planes])


def displayed(block: Block) -> str:
    """The orientation in which viewers show a volume's slices.

    Slices are taken along the axis with one pixel; else along the one with the largest pixel distance; else from
    foot to head.
    """
    code = block.code
    thickest = max(block.spacing)
    single = [axis for axis in range(3) if block.size[axis] == 1]
    candidates = single or [axis for axis in range(3) if block.spacing[axis] > (1 - _SAME_SPACING) * thickest]
    axis = next((axis for axis in candidates if code[axis] in "SI"), candidates[0])
    return _DISPLAYED[code[axis] if code[axis] in _DISPLAYED else _OPPOSITE[code[axis]]] + code[axis]


def turned(values: np.ndarray, block: Block, orientation: str) -> np.ndarray:
    """An array of the block, (slices, rows, columns), with its axes swapped and reversed to the orientation."""
    axes, reverse = _turn(block.code, orientation)
    moved = values.transpose(2, 1, 0).transpose(axes)
    return np.flip(moved, [axis for axis in range(3) if reverse[axis]]).transpose(2, 1, 0)


def turned_back(values: np.ndarray, block: Block, orientation: str) -> np.ndarray:
    """The array in the block's own order whose `turned` is `values`."""
    axes, reverse = _turn(block.code, orientation)
    moved = np.flip(values.transpose(2, 1, 0), [axis for axis in range(3) if reverse[axis]])
    return moved.transpose(np.argsort(axes)).transpose(2, 1, 0)


def turned_block(block: Block, orientation: str) -> Block:
    """The block of `turned`: the same pixels, in another order."""
    axes, reverse = _turn(block.code, orientation)
    first = np.zeros(3)
    signs = np.ones(3)
    for axis in range(3):
        if reverse[axis]:
            first[axes[axis]], signs[axis] = block.size[axes[axis]] - 1, -1
    columns, rows, count = (block.size[axis] for axis in axes)
    return Block(
        (columns, rows, count),
        _triple(block.to_mm(first)),
        _triple(np.array([block.spacing[axis] for axis in axes])),
        tuple((block.axes[:, axes] * signs).ravel().tolist()),
    )


def _turn(code: str, orientation: str) -> tuple[list[int], list[bool]]:
    """Which axis of the code (columns, rows, slices) becomes which one of the orientation, and which are reversed."""
    axes = [next(axis for axis in range(3) if code[axis] in (letter, _OPPOSITE[letter])) for letter in orientation]
    return axes, [code[axes[axis]] != orientation[axis] for axis in range(3)]


def _triple(values: np.ndarray) -> Triple:
    first, second, third = values.tolist()
    return first, second, third
