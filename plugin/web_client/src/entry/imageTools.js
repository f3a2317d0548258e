/** Labels, values under the mouse and links to the view, around large_image's viewer of an image of ours. */
import { mount } from './mount';

const { $ } = girder;
const SCALE_BAR = { position: { bottom: 12, right: 12 }, maxWidth: 160 };

function isOurs(model, metadata = {}) {
    return ((model && model.get('largeImage')) || {}).sourceName === 'zarr' && !metadata.geospatial;
}

/** The settings of a viewer, with a scale bar where it shows an image of ours. */
function withScaleBar(settings) {
    return isOurs(settings.model) && !settings.scale ? { ...settings, scale: { ...SCALE_BAR } } : settings;
}

function showTools(viewer, model, metadata) {
    if (!isOurs(model, metadata)) {
        return;
    }
    const above = $('<div class="g-zarr-item-tools">').insertBefore(viewer.el);
    const below = $('<div class="g-zarr-item-readout">').insertAfter(viewer.el);
    const remove = mount(above[0], 'item', 'showImageTools', {
        itemId: model.id, viewer, metadata, below: below[0], screen: viewer.parentView.el
    });
    viewer.zarrTools = () => {
        remove();
        above.remove();
        below.remove();
        viewer.zarrTools = null;
    };
}

export { showTools, withScaleBar };
