"""Manifests and Collections (IIIF Presentation API 3.0, https://iiif.io/api/presentation/3.0/)."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .image_information import PROFILE, SERVICE_TYPE
from .picture_request import FORMATS, PictureLimits, Size, fit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTEXT = 'http://iiif.io/api/presentation/3/context.json'
#: The extension that says how large a pixel is (https://iiif.io/api/annex/services/#physical-dimensions).
PHYSICAL_CONTEXT = 'http://iiif.io/api/annex/services/physdim/1/context.json'
PHYSICAL_PROFILE = 'http://iiif.io/api/annex/services/physdim'
#: The canvases of one manifest. Viewers list and open all that they are given.
MAX_CANVASES = 500
THUMBNAIL_SIDE = 256
#: What a picture is asked for when the size of its image is not known; %5E is ^: small images grow.
THUMBNAIL = f'full/%5E!{THUMBNAIL_SIDE},{THUMBNAIL_SIDE}/0/default.jpg'
#: The sets from which `rights` has to come; as URIs they begin with http.
_RIGHTS = re.compile(
    r'https?://(creativecommons\.org/(?:licenses|publicdomain)/[a-z0-9+./-]+|rightsstatements\.org/(?:vocab|page)/[A-Za-z0-9./-]+)'
)
MICROMETERS = 1000


@dataclass(frozen=True)
class Described:
    """What is told of an image or a folder.

    :param address: its own: of an image the base URI of its first frame.
    :param rights: what its metadata call its licence or rights, checked by :func:`rights_uri`.
    """

    address: str
    label: str
    summary: str = ''
    rights: str | None = None
    homepage: str | None = None


def rights_uri(value: object) -> str | None:
    """Return the URI of a licence or of a statement of rights, or None where a value is none of those."""
    match = _RIGHTS.fullmatch(value) if isinstance(value, str) and len(value) <= 200 else None
    return None if match is None else f'http://{match[1]}'.replace('.org/page/', '.org/vocab/')


def frame_address(address: str, frame: int) -> str:
    """Return the base URI of a frame."""
    return f'{address};frame={frame}' if frame else address


def manifest(
    described: Described, metadata: Mapping[str, Any], limits: PictureLimits, frames: int
) -> dict[str, Any]:
    """Return the manifest of an image, with a canvas for each of its frames.

    :param metadata: large_image's.
    :param limits: those that every reader has.
    """
    size = Size(int(metadata['sizeX']), int(metadata['sizeY']))
    shown = min(frames, MAX_CANVASES)
    return {
        '@context': CONTEXT,
        **_head(described, f'{described.address}/manifest', 'Manifest'),
        'metadata': _facts(metadata, size, frames, shown),
        'thumbnail': [_thumbnail(described.address, size)],
        'items': [_canvas(described, metadata, size, limits, frame) for frame in range(shown)],
    }


def collection(described: Described, members: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the collection that a folder is.

    :param members: of :func:`member`.
    """
    head = _head(described, f'{described.address}/manifest', 'Collection')
    return {'@context': CONTEXT, **head, 'items': list(members)}


def member(address: str, label: str, *, is_image: bool) -> dict[str, Any]:
    """Return what a collection says of an image or of a folder in it."""
    found: dict[str, Any] = {
        'id': f'{address}/manifest',
        'type': 'Manifest' if is_image else 'Collection',
        'label': {'none': [label]},
    }
    if is_image:
        picture = {'id': f'{address}/{THUMBNAIL}', 'type': 'Image', 'format': FORMATS['jpg']}
        found['thumbnail'] = [{**picture, 'service': [_service(address)]}]
    return found


def plain(text: str) -> str:
    """Return a text that no client takes for HTML, which values may be where they begin with a bracket."""
    text = text.strip()
    return f'<span>{html.escape(text)}</span>' if text.startswith('<') else text


def _head(described: Described, address: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {'id': address, 'type': kind, 'label': {'none': [described.label]}}
    if described.summary.strip():
        found['summary'] = {'none': [plain(described.summary)]}
    if described.rights is not None:
        found['rights'] = described.rights
    if described.homepage is not None:
        page = {'id': described.homepage, 'type': 'Text', 'label': {'en': ['Girder']}, 'format': 'text/html'}
        found['homepage'] = [page]
    return found


def _facts(metadata: Mapping[str, Any], size: Size, frames: int, shown: int) -> list[dict[str, Any]]:
    found = {'Size': [f'{size.width} x {size.height} pixels']}
    sides = _millimeters(metadata)
    if sides is not None:
        found['Pixel size'] = [' x '.join(f'{side * MICROMETERS:.6g}' for side in sides) + ' micrometers']
    if metadata.get('magnification'):
        found['Magnification'] = [f'{metadata["magnification"]:g}']
    if metadata.get('channels'):
        found['Channels'] = [plain(str(name)) for name in metadata['channels']]
    for name, count in (metadata.get('IndexRange') or {}).items():
        if name != 'IndexC':
            found[f'Length along {name.removeprefix("Index").lower()}'] = [str(count)]
    if frames > shown:
        found['Frames'] = [f'{frames}, of which the first {shown} are shown']
    return [{'label': {'en': [name]}, 'value': {'none': values}} for name, values in found.items()]


def _millimeters(metadata: Mapping[str, Any]) -> tuple[float, float] | None:
    sides = metadata.get('mm_x'), metadata.get('mm_y')
    known = all(isinstance(side, int | float) and 0 < side < float('inf') for side in sides)
    return (float(sides[0]), float(sides[1])) if known else None  # type: ignore[arg-type]


def _canvas(
    described: Described, metadata: Mapping[str, Any], size: Size, limits: PictureLimits, frame: int
) -> dict[str, Any]:
    base = described.address
    address, canvas = frame_address(base, frame), f'{base}/canvas/{frame}'
    label = frame_label(metadata, frame) or described.label
    largest = fit(size, limits, up=False)
    scaling = 'max' if largest == size else f'{largest.width},{largest.height}'
    body = _image(address, f'full/{scaling}/0/default.jpg', largest)
    annotation = {
        'id': f'{canvas}/image',
        'type': 'Annotation',
        'motivation': 'painting',
        'body': body,
        'target': canvas,
    }
    found: dict[str, Any] = {
        'id': canvas,
        'type': 'Canvas',
        'label': {'none': [label]},
        'width': size.width,
        'height': size.height,
        'thumbnail': [_thumbnail(address, size)],
        'items': [{'id': f'{canvas}/page', 'type': 'AnnotationPage', 'items': [annotation]}],
    }
    sides = _millimeters(metadata)
    if sides is not None and abs(sides[0] - sides[1]) <= 0.001 * sides[0]:  # it has one scale for both
        found['service'] = [
            {
                '@context': PHYSICAL_CONTEXT,
                'id': f'{canvas}/physical',
                'type': 'PhysicalDimensions',
                'profile': PHYSICAL_PROFILE,
                'physicalScale': sides[0],
                'physicalUnits': 'mm',
            }
        ]
    return found


def frame_label(metadata: Mapping[str, Any], frame: int) -> str:
    """Return the name of a frame: its channel, and its position along the other axes, counted from 0.

    It is empty where there is one frame and nothing is known of it.
    """
    listed = metadata.get('frames') or []
    one = listed[frame] if frame < len(listed) else {}
    parts = [str(one['Channel'])] if one.get('Channel') else []
    for name, count in (metadata.get('IndexRange') or {}).items():
        if count > 1 and name in one and not (parts and name == 'IndexC'):
            parts.append(f'{name.removeprefix("Index").lower()} {one[name]}')
    return ', '.join(parts) or (f'Frame {frame}' if len(listed) > 1 else '')


def _thumbnail(address: str, size: Size) -> dict[str, Any]:
    small = fit(size, PictureLimits(THUMBNAIL_SIDE, THUMBNAIL_SIDE**2), up=False)
    scaling = 'max' if small == size else f'{small.width},{small.height}'
    return _image(address, f'full/{scaling}/0/default.jpg', small)


def _image(address: str, request: str, size: Size) -> dict[str, Any]:
    return {
        'id': f'{address}/{request}',
        'type': 'Image',
        'format': FORMATS['jpg'],
        'width': size.width,
        'height': size.height,
        'service': [_service(address)],
    }


def _service(address: str) -> dict[str, str]:
    return {'id': address, 'type': SERVICE_TYPE, 'profile': PROFILE}
