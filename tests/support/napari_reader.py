"""What napari's reader makes of an address, without a window; run by a Python that has napari-ome-zarr.

``napari_reader.py ADDRESS OUT.npz``: the channels at full resolution; names and windows of the layers.
"""

import json
import sys

import numpy as np
from npe2 import PluginManager, read

if __name__ == '__main__':
    address, out = sys.argv[1:]
    PluginManager.instance().discover()
    layers = read([address], stack=False, plugin_name='napari-ome-zarr')
    pixels, said = [], []
    for data, properties, kind in layers:
        level = data[0] if isinstance(data, list | tuple) else data
        axis = properties.get('channel_axis')
        level = np.asarray(level)
        pixels += list(np.moveaxis(level, axis, 0)) if axis is not None else [level]
        # Of a layer for all channels, as older versions make it, names and windows are lists.
        names, limits = properties.get('name'), properties.get('contrast_limits')
        is_apart = axis is None or not names or not limits
        each = [(names, limits)] if is_apart else zip(names, limits, strict=True)
        said += [{'kind': kind, 'name': name, 'limits': window} for name, window in each]
    np.savez(out, pixels=np.stack(pixels), said=json.dumps(said))
