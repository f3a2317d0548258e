"""Names of images in the OME-XML that bioformats2raw writes beside them (``OME/METADATA.ome.xml``)."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

#: Where it lies in a hierarchy.
KEY = 'OME/METADATA.ome.xml'
#: Bytes that are parsed at most, in some tenths of a second: beside large plates it has hundreds of millions.
MAX_BYTES = 4 * 2**20
#: Letters of a name.
MAX_NAME = 200


def image_names(data: bytes, max_names: int) -> list[str | None]:
    """Return the name of each ``Image``, in the order of the document, None where it has none.

    :param data: OME-XML, see https://docs.openmicroscopy.org/ome-model/; what is malformed ends the list.
    :param max_names: how many are returned at most.
    """
    found: list[str | None] = []
    if any(one in data for one in (b'<!DOCTYPE', b'<!ENTITY', b'\0')):
        return found  # OME-XML is UTF-8 and has no entities, which can be made to do harm
    try:
        for event, element in ET.iterparse(io.BytesIO(data), ('start', 'end')):  # noqa: S314 - no entities
            is_image = element.tag.rpartition('}')[2] == 'Image'
            if is_image and event == 'start':
                name = ' '.join((element.get('Name') or '').split())[:MAX_NAME]
                found.append(name or None)
                if len(found) == max_names:
                    return found
            elif is_image:
                element.clear()
    except ET.ParseError:
        pass
    return found
