import { PageView } from './mount';

const { events, router } = girder;
const { exposePluginConfig } = girder.utilities.PluginUtils;

function show(page, part, props = {}) {
    events.trigger('g:navigateTo', PageView, { page, part, props });
}

exposePluginConfig('zarr', 'plugins/zarr/config');

router.route('plugins/zarr/config', 'zarrConfig', () => show('admin', 'showSettings'));
router.route('stitch_sessions', 'stitchSessions', () => show('stitch', 'showMySessions'));
router.route('folder/:id/stitch', 'newStitchSession', (folderId) => show('stitch', 'showNewSession', { folderId }));
router.route('folder/:id/share', 'zarrFolderLinks', (folderId) => show('item', 'showFolderLinks', { folderId }));
router.route('stitch_session/:id', 'stitchSession', (sessionId) => show('stitch', 'showSession', { sessionId }));
router.route('stitch_session/:id/add', 'addToStitchSession', (sessionId) => {
    show('stitch', 'showNewSession', { sessionId });
});
// The address of the preview before sessions had a page.
router.route('stitch_session/:id/preview', 'stitchPreview', (sessionId) => {
    router.navigate(`stitch_session/${sessionId}`, { trigger: true, replace: true });
});
