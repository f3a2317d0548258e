import ExplanationView from './views/ExplanationView';
import template from './templates/itemSource.pug';

const { $ } = girder;
const { getCurrentUser } = girder.auth;
const { wrap } = girder.utilities.PluginUtils;
const { ItemView } = girder.views.body;

// Which source opens an item is the administrators' business; they find it on the item's page, closed at first.
wrap(ItemView, 'render', function (render, ...args) {
    this.once('g:rendered', () => {
        const user = getCurrentUser();
        if (!user || !user.get('admin') || !this.model.get('largeImage')) {
            return;
        }
        this.$('.g-zarr-item-source').remove();
        const panel = $(template());
        this.$('.g-item-info').append(panel);
        panel.one('toggle', () => {
            new ExplanationView({
                el: panel.find('.g-zarr-explanation-container'),
                parentView: this
            }).show(this.model.id);
        });
    });
    return render.apply(this, args);
});
