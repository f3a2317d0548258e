/** Our controls in the place of large_image's, for images that our source opens. */
import { Shown } from '../lib/shown.js';
import { showTools, withScaleBar } from './imageTools';
import { prepareImages } from './itemImages';
import { mount } from './mount';

const { $ } = girder;
const { ItemView } = girder.views.body;
const { wrap } = girder.utilities.PluginUtils;

/** Whether our controls have anything to show. */
function hasControls({ zarrSeries }, model, metadata) {
    const { sourceName } = (model && model.get('largeImage')) || {};
    const frames = metadata.frames || [];
    return sourceName === 'zarr' && !metadata.geospatial && (frames.length > 1 || Boolean(zarrSeries));
}

function showControls(viewer, model, metadata, show, theirs) {
    const container = $('<div class="g-zarr-item-controls">');
    viewer.parentView.$('.image-controls').before(container);
    const remove = mount(container[0], 'item', 'showImageControls', {
        itemId: model.id,
        metadata,
        shown: viewer.zarrShown || new Shown({}),
        series: viewer.zarrSeries,
        show,
        onShown: (done) => {
            viewer.on('g:imageFrameChanged', done);
            return () => viewer.off('g:imageFrameChanged', done);
        },
        onOther: () => {
            viewer.zarrControls();
            theirs(metadata, show);
        }
    });
    viewer.zarrControls = () => {
        remove();
        container.remove();
        viewer.zarrControls = null;
    };
}

let isReady = false;

/** Once large_image's plugin is there, which may be after ours. */
function prepare() {
    const plugin = girder.plugins.large_image;
    const Viewer = plugin && plugin.views && plugin.views.imageViewerWidget && plugin.views.imageViewerWidget.geojs;
    if (isReady || !Viewer) {
        return;
    }
    isReady = true;
    prepareImages(Viewer);
    wrap(Viewer, 'initialize', function (initialize, settings) {
        const { model, setFrames } = settings;
        if (!setFrames) {
            return initialize.call(this, settings);
        }
        return initialize.call(this, {
            ...withScaleBar(settings),
            setFrames: (given, show) => {
                const metadata = this.zarrMetadata || given;
                showTools(this, model, metadata);
                if (hasControls(this, model, metadata)) {
                    showControls(this, model, metadata, show, setFrames);
                } else {
                    setFrames(metadata, show);
                }
            }
        });
    });
    wrap(Viewer, 'destroy', function (destroy) {
        if (this.zarrTools) {
            this.zarrTools();
        }
        if (this.zarrControls) {
            this.zarrControls();
        }
        return destroy.call(this);
    });
}

wrap(ItemView, 'render', function (render, ...args) {
    prepare();
    return render.apply(this, args);
});
