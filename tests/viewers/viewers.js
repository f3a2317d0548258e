/**
 * A page of another host that opens an image by nothing but its address: zarrita reads it, Viv shows it.
 *
 * `window.read` and `window.show` are what the tests call.
 */
import { ColorPaletteExtension, PictureInPictureViewer, getImageSize, loadOmeZarr } from '@hms-dbmi/viv';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import * as zarr from 'zarrita';

/** The bytes of a level as base64, with shape and type; attributes of the group with them. */
async function read(url, level) {
    const root = zarr.root(new zarr.FetchStore(url));
    const group = await zarr.open(root, { kind: 'group' });
    const array = await zarr.open(root.resolve(String(level)), { kind: 'array' });
    const { data, shape } = await zarr.get(array);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const parts = [];
    for (let at = 0; at < bytes.length; at += 0x8000) {
        parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
    }
    return { shape, dtype: array.dtype, attributes: group.attrs, data: btoa(parts.join('')) };
}

let root = null;

/** Show an image in Viv's viewer, a pixel of the image in a pixel of the page, as its omero says. */
async function show(url) {
    const { data, metadata } = await loadOmeZarr(url, { type: 'multiscales' });
    const { width, height } = getImageSize(data[0]);
    const channels = metadata.omero.channels;
    const element = document.querySelector('#viewer');
    element.style.width = `${width}px`;
    element.style.height = `${height}px`;
    const props = {
        loader: data,
        contrastLimits: channels.map(({ window: { start, end } }) => [start, end]),
        colors: channels.map(({ color }) => [0, 2, 4].map((at) => parseInt(color.slice(at, at + 2), 16))),
        channelsVisible: channels.map(({ active }) => active !== false),
        selections: channels.map((_, c) => ({ c })),
        extensions: [new ColorPaletteExtension()],
        height,
        width,
        overviewOn: false,
        viewStates: [{ id: 'detail', target: [width / 2, height / 2, 0], zoom: 0 }]
    };
    root?.unmount();
    root = createRoot(element);
    await new Promise((resolve) => {
        root.render(createElement(PictureInPictureViewer, {
            ...props, onViewportLoad: resolve, deckProps: { useDevicePixels: false }
        }));
    });
    return { width, height, names: channels.map(({ label }) => label) };
}

Object.assign(window, { read, show });
document.documentElement.dataset.ready = 'yes';
