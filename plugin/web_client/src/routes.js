import PrioritiesView from './views/PrioritiesView';
import StitchPreviewView from './views/StitchPreviewView';

const { events, router } = girder;
const { exposePluginConfig } = girder.utilities.PluginUtils;

exposePluginConfig('zarr', 'plugins/zarr/config');

router.route('plugins/zarr/config', 'zarrConfig', () => {
    events.trigger('g:navigateTo', PrioritiesView);
});

router.route('stitch_session/:id/preview', 'stitchPreview', (sessionId) => {
    events.trigger('g:navigateTo', StitchPreviewView, { sessionId });
});
