"""Positions of tiles by other programs, each in an environment of its own; asked by registration.py.

    PYTHON stitch_peers.py m2stitch|multiview-stitcher|ashlar|basicpy SCENE.npz

The scene has ``tiles`` (tile, y, x), ``said`` (tile, 2) in pixels, ``grid`` (tile, 2), rows and columns, and
``shift``, the most by which they may be off, in pixels. One line of JSON is printed: ``found``, the places
(tile, 2) or of basicpy the flat field (y, x), and ``cpu``, the seconds of processor time of the call alone.
"""

import contextlib
import importlib
import json
import sys
import time
import warnings

import numpy as np


def m2stitch(scene):
    import m2stitch

    rows, columns = scene['grid'].T.tolist()
    # its default is 0.5; uneven light lowers the correlation, and below the threshold it gives up
    for threshold in (0.5, 0.3, 0.1, -0.5):
        with contextlib.suppress(AssertionError):
            found, _ = m2stitch.stitch_images(
                scene['tiles'], rows=rows, cols=columns, row_col_transpose=False, ncc_threshold=threshold
            )
            return found[['y_pos', 'x_pos']].to_numpy(float)
    raise SystemExit('m2stitch finds no good pair')


def multiview_stitcher(scene):
    from multiview_stitcher import msi_utils, param_utils, registration
    from multiview_stitcher import spatial_image_utils as images

    views = []
    for tile, (y, x) in zip(scene['tiles'], scene['said'], strict=True):
        view = images.get_sim_from_array(
            tile,
            dims=['y', 'x'],
            scale={'y': 1.0, 'x': 1.0},
            translation={'y': float(y), 'x': float(x)},
            transform_key='stage',
        )
        views.append(msi_utils.get_msim_from_sim(view, scale_factors=[]))
    registration.register(
        views,
        reg_channel_index=0,
        transform_key='stage',
        new_transform_key='found',
        registration_binning={'y': 1, 'x': 1},
    )
    places = []
    for view, said in zip(views, scene['said'], strict=True):
        affine = np.asarray(msi_utils.get_transform_from_msim(view, 'found')).squeeze()
        places.append(said + param_utils.translation_from_affine(affine))
    return np.array(places)


def ashlar(scene):
    from ashlar import reg

    class Tiles(reg.Metadata):
        _num_images = len(scene['tiles'])
        num_channels = 1
        pixel_size = 1.0
        pixel_dtype = scene['tiles'].dtype

        def tile_position(self, i):
            return scene['said'][i].astype(float)

        def tile_size(self, i):
            return np.array(scene['tiles'][i].shape)

    class Reader(reg.Reader):
        metadata = Tiles()

        def read(self, series, c):  # noqa: ARG002 - as it is called
            return scene['tiles'][series]

    aligner = reg.EdgeAligner(Reader(), max_shift=float(scene['shift']))
    aligner.run()
    return np.asarray(aligner.positions)


def basicpy(scene):
    from basicpy import BaSiC

    model = BaSiC(get_darkfield=False, smoothness_flatfield=1)
    model.fit(scene['tiles'].astype(np.float32))
    return np.asarray(model.flatfield, float)


#: What each is called, what it imports, which is not timed, and its work.
PROGRAMS = {
    'm2stitch': ('m2stitch', m2stitch),
    'multiview-stitcher': ('multiview_stitcher.registration', multiview_stitcher),
    'ashlar': ('ashlar.reg', ashlar),
    'basicpy': ('basicpy', basicpy),
}


def main():
    warnings.simplefilter('ignore')
    scene = np.load(sys.argv[2])
    scene = {name: scene[name] for name in scene.files}
    module, work = PROGRAMS[sys.argv[1]]
    importlib.import_module(module)
    begun = time.process_time()
    with contextlib.redirect_stdout(sys.stderr):
        found = work(scene)
    print(json.dumps({'found': found.tolist(), 'cpu': time.process_time() - begun}))


if __name__ == '__main__':
    main()
