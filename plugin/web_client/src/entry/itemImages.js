/** Which of a file's images large_image's viewers show: fields of a plate, all of it, one image of several. */
import { addressQuery } from '../lib/address.js';
import { hasFields } from '../lib/channels.js';
import { Shown } from '../lib/shown.js';
import { mount } from './mount';

const { $ } = girder;
const { restRequest } = girder.rest;
const { wrap } = girder.utilities.PluginUtils;

/** What chooses among the images of an item that our source opens, above its viewers; null for others. */
function shownOf(select, model) {
    const { sourceName } = (model && model.get('largeImage')) || {};
    if (sourceName !== 'zarr' || !select || !select._selectViewer) {
        return null;
    }
    if (!select.zarrShown) {
        select.zarrShown = new Shown(addressQuery());
        const container = $('<div class="g-zarr-item-images">');
        select.$('.image-controls').before(container);
        const remove = mount(container[0], 'item', 'showImageChooser', { itemId: model.id, shown: select.zarrShown });
        select.zarrShown.watch((now, before) => {
            if (now.series !== before.series) {
                showAgain(select);
            }
        });
        const destroy = select.destroy;
        select.destroy = function (...args) {
            remove();
            return destroy.apply(this, args);
        };
    }
    return select.zarrShown;
}

/** Another image needs another viewer: its size and frames differ. */
function showAgain(select) {
    const viewer = select.currentViewer;
    if (viewer) {
        const { name } = viewer;
        viewer.destroy();
        select.currentViewer = null;
        select._selectViewer(name);
    }
}

/** Ask for the metadata and tiles of the image that is chosen, as large_image's viewer asks for those of the item. */
function askForSeries(viewer, settings, shown) {
    const { series } = shown.now;
    const { updated, created } = settings.model.attributes;
    viewer.itemId = settings.itemId;
    viewer.updated = (updated || created || '').replace(/:/g, '-').replace(/\+/g, '_');
    viewer.tileQueryDefaults = { ...settings.tileQueryDefaults, series };
    return restRequest({ url: `item/${viewer.itemId}/tiles`, data: { series }, error: null }).done((metadata) => {
        ['levels', 'tileWidth', 'tileHeight', 'sizeX', 'sizeY'].forEach((key) => {
            viewer[key] = metadata[key];
        });
        viewer.metadata = metadata;
    }).fail((answer) => {
        const { message } = answer.responseJSON || {};
        shown.choose({ series: null, refusal: message || 'The server does not show this image.' });
    });
}

/** @param {function} Viewer large_image's viewer on GeoJS. */
function prepareImages(Viewer) {
    wrap(Viewer.__super__.constructor, 'initialize', function (initialize, settings) {
        const shown = shownOf(settings.parentView, settings.model);
        this.zarrShown = shown;
        this.zarrSeries = shown && shown.now.series;
        return this.zarrSeries ? askForSeries(this, settings, shown) : initialize.call(this, settings);
    });
    wrap(Viewer, 'render', function (render) {
        const { metadata } = this;
        if (!metadata || !(this.zarrSeries || hasFields(metadata))) {
            return render.call(this);
        }
        // Without frames it makes no pictures of them all ahead, which are thousands in a plate and not of a series.
        this.metadata = { ...metadata, frames: undefined };
        this.zarrMetadata = metadata;
        try {
            return render.call(this);
        } finally {
            this.metadata = metadata;
        }
    });
}

export { prepareImages };
