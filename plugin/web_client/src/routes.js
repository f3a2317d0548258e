import PrioritiesView from './views/PrioritiesView';

const { events, router } = girder;
const { exposePluginConfig } = girder.utilities.PluginUtils;

exposePluginConfig('zarr', 'plugins/zarr/config');

router.route('plugins/zarr/config', 'zarrConfig', () => {
    events.trigger('g:navigateTo', PrioritiesView);
});
