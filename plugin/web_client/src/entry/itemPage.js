import { mount } from './mount';

const { $ } = girder;
const { getCurrentUser } = girder.auth;
const { wrap } = girder.utilities.PluginUtils;
const { ItemView } = girder.views.body;

wrap(ItemView, 'render', function (render, ...args) {
    this.once('g:rendered', () => {
        unmount(this);
        const container = $('<div class="g-zarr-item">');
        this.$('.g-item-info').append(container);
        const user = getCurrentUser();
        this._unmountZarr = mount(container[0], 'item', 'showItem', {
            itemId: this.model.id,
            name: this.model.name(),
            largeImage: this.model.get('largeImage') || null,
            isSignedIn: Boolean(user),
            isAdmin: Boolean(user && user.get('admin'))
        });
    });
    return render.apply(this, args);
});

wrap(ItemView, 'destroy', function (destroy, ...args) {
    unmount(this);
    return destroy.apply(this, args);
});

function unmount(view) {
    if (view._unmountZarr) {
        view._unmountZarr();
        view._unmountZarr = null;
    }
}
