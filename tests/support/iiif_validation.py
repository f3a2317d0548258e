"""IIIF's validators: that of the Image API, and the models of the Presentation API."""

from __future__ import annotations

import importlib.resources
import random

import pytest


def validation_image():
    """Return the picture that the validator compares with, or skip where it is not installed."""
    pytest.importorskip('iiif_validator', reason='iiif-validator-ng needs Python 3.12')
    return (importlib.resources.files('iiif_validator') / 'validation_image.png').read_bytes()


def image_failures(base, identifier):
    """Run all tests of the validator that apply; return how many passed, and what the others say.

    They draw lots. In one thread and from one seed these are the same each time: a rotation of a narrow
    region may be drawn of which the validator then cuts out what lies outside of any server's picture.
    """
    random.seed(1)
    from iiif_validator.tests.test import IIIFVersion, TargetServer
    from iiif_validator.validate import run_tests

    passed, failed = 0, []
    for test, found in run_tests(TargetServer(base, identifier, IIIFVersion.V3), max_threads=1):
        for one in found if isinstance(found, list) else [found]:
            if one.success:
                passed += 1
            else:
                failed.append(f'{test.name}: expected {one.expected}, received {one.received}, {one.url}')
    return passed, failed


def read_presentation(document):
    """Return a document as the specification's models read it, which raise where it is not valid."""
    iiif_prezi3 = pytest.importorskip('iiif_prezi3', reason='tox installs iiif-prezi3')
    return getattr(iiif_prezi3, document['type'])(**document)
