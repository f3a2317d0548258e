"""Metadata checked by the official JSON schemas of OME-NGFF.

The schemas come with ngff-zarr (MIT), jsonschema applies them; both belong to the extra ``validate`` and are
looked for only when a check is asked for. ngff-zarr is not imported, since it brings much else along.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from girder_zarr.common.cache import LRU

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

EXTRA = "pip install 'girder-zarr[validate]'"
#: The schemas by the key that a document of their kind has.
MODELS = {
    'multiscales': 'image',
    'plate': 'plate',
    'well': 'well',
    'image-label': 'label',
    'bioformats2raw.layout': 'bf2raw',
    'series': 'ome',
    'scene': 'scene',
}
#: Objects, lists and values of a document; larger ones (plates) take seconds and repeat one problem.
MAX_VALUES = 20_000
#: Problems that are listed, and the length of one: the page of an item shows all of them.
MAX_PROBLEMS, MAX_LETTERS = 50, 300
#: What was found in documents, by version and content.
_answers: LRU[tuple[str, bytes], tuple[list[str], str]] = LRU(max_items=256)


def schema_version(attributes: dict[str, Any], version: str | None) -> str:
    """Return the version to check attributes by: the one that they name, else the one that they look like.

    :param attributes: as they are stored; from 0.5 on all is below ``ome``.
    """
    if re.match(r'0\.\d', version or ''):
        return str(version)
    if 'ome' in attributes:
        return '0.5'
    items = attributes.get('multiscales')
    item = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
    axes = item.get('axes')
    if isinstance(axes, list) and any(isinstance(axis, str) for axis in axes):
        return '0.3'
    datasets = item.get('datasets')
    # up to 0.2 the axes are always t, c, z, y and x, and the levels have no transforms
    plain = isinstance(datasets, list) and all(
        isinstance(one, dict) and set(one) == {'path'} for one in datasets
    )
    return '0.2' if datasets and plain and axes is None else '0.4'


def check_schemas(attributes: dict[str, Any], version: str | None) -> tuple[list[str], str]:
    """Return what is wrong with the attributes of a group by the schemas, and a sentence on what was done.

    :param attributes: as they are stored.
    :param version: of OME-NGFF; a development version is checked as the release that it leads to.
    """
    content = attributes.get('ome') if isinstance(attributes.get('ome'), dict) else attributes
    assert isinstance(content, dict)
    models = [model for key, model in MODELS.items() if key in content]
    number = re.match(r'0\.\d+', version or '')
    folder = _folder()
    if not models or number is None:
        return [], 'Not checked: there is no OME-NGFF metadata, or it names no version.'
    if folder is None:
        return [], f'Not checked: the official JSON schemas are not installed; {EXTRA}.'
    if sum(1 for _ in islice(_values(attributes), MAX_VALUES)) == MAX_VALUES:
        return [], f'Not checked: the metadata has more than {MAX_VALUES} values.'
    # The same document is asked for again whenever somebody looks at its item.
    key = (number[0], hashlib.sha256(json.dumps(attributes, sort_keys=True).encode()).digest())
    found, sentence = _answers.fetch(key, lambda: _checked(attributes, models, folder, number[0]))
    return list(found), sentence


def _checked(
    attributes: dict[str, Any], models: list[str], folder: Path, version: str
) -> tuple[list[str], str]:
    validators = {model: _validator(folder / version / 'schemas', model) for model in models}
    checked = sorted(model for model, validator in validators.items() if validator is not None)
    if not checked:
        return [], f'Not checked: there are no official JSON schemas of version {version} for it.'
    found: list[str] = []
    released = _released(attributes, folder / version / 'schemas')
    for model in checked:
        errors = islice(validators[model].iter_errors(released), MAX_PROBLEMS)
        found.extend(f'{model} schema {version}, {one.json_path}: {_short(one.message)}' for one in errors)
    return found, f'Checked by the official JSON schemas of version {version}: {", ".join(checked)}.'


def _released(attributes: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return attributes with the version that the schemas are of in place of a development version of it."""
    file = folder / '_version.schema'
    known = json.loads(file.read_bytes())['enum'] if file.is_file() else [folder.parent.name]

    def renamed(value: object) -> object:
        if isinstance(value, list):
            return [renamed(one) for one in value]
        if not isinstance(value, dict):
            return value
        version = value.get('version')
        is_other = isinstance(version, str) and version not in known
        if is_other and re.match(rf'{re.escape(folder.parent.name)}(?!\d)', str(version)):
            return {**value, 'version': known[0]}
        return value

    found = {key: renamed(value) for key, value in attributes.items()}
    inner = found.get('ome')
    return (
        {**found, 'ome': {key: renamed(value) for key, value in inner.items()}}
        if isinstance(inner, dict)
        else found
    )


def _short(message: str) -> str:
    """Return a message without the middle; what is expected stands at its end."""
    half = MAX_LETTERS // 2
    return message if len(message) <= MAX_LETTERS else f'{message[:half]} ... {message[-half:]}'


def _values(value: object) -> Iterator[object]:
    """Iterate over all values in a document; long texts count as several."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, str):
            waiting.extend([None] * (len(one) // MAX_LETTERS))
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


@functools.cache
def _folder() -> Path | None:
    """Return where the schemas of all versions lie, or None where something is not installed."""
    if importlib.util.find_spec('jsonschema') is None or importlib.util.find_spec('referencing') is None:
        return None
    package = importlib.util.find_spec('ngff_zarr')
    for place in (package.submodule_search_locations or ()) if package is not None else ():
        if (Path(place) / 'spec').is_dir():
            return Path(place) / 'spec'
    return None


@functools.cache
def _validator(folder: Path, model: str) -> Any:
    """Return what checks a document, or None where there is no such schema. Nothing is fetched."""
    jsonschema: Any = importlib.import_module('jsonschema')
    referencing: Any = importlib.import_module('referencing')
    draft = importlib.import_module('referencing.jsonschema').DRAFT202012
    if not (folder / f'{model}.schema').is_file():
        return None
    schemas = {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob('*.schema'))}
    checks = jsonschema.validators.extend(jsonschema.Draft202012Validator, {'uniqueItems': _unique_items})
    resources = [
        (schema.get('$id', name), referencing.Resource.from_contents(schema, default_specification=draft))
        for name, schema in schemas.items()
    ]
    registry = referencing.Registry().with_resources(resources)
    return checks(schemas[model], registry=registry)


def _unique_items(validator: Any, wanted: object, instance: Any, schema: object) -> Iterator[Any]:
    """Check ``uniqueItems``, each item once; jsonschema compares lists of objects in pairs."""
    del schema
    if wanted is not True or not validator.is_type(instance, 'array'):
        return
    if len({_comparable(item) for item in instance}) < len(instance):
        errors: Any = importlib.import_module('jsonschema.exceptions')
        yield errors.ValidationError(f'{instance!r} has non-unique elements')


def _comparable(value: Any) -> Hashable:
    """Return what is equal for values that are equal in JSON, where 1 is 1.0 and true is not 1."""
    if isinstance(value, dict):
        return 'object', frozenset((name, _comparable(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return 'array', tuple(map(_comparable, value))
    return ('boolean', value) if isinstance(value, bool) else value
