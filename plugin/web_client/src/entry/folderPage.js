import { mount } from './mount';

const { $ } = girder;
const { getCurrentUser } = girder.auth;
const { AccessType } = girder.constants;
const { wrap } = girder.utilities.PluginUtils;
const { HierarchyWidget } = girder.views.widgets;

/** Whether a hierarchy widget is a folder's page; dialogs that pick a folder or an item use the widget as well. */
function isFolderPage(widget) {
    return widget.parentModel.resourceName === 'folder' &&
        widget._showActions && widget._showItems && widget._showMetadata && widget._routing;
}

function unmount(widget) {
    if (widget._unmountStitchSessions) {
        widget._unmountStitchSessions();
        widget._unmountStitchSessions = null;
    }
}

wrap(HierarchyWidget, 'render', function (render, ...args) {
    unmount(this);
    const result = render.apply(this, args);
    if (isFolderPage(this)) {
        const canWrite = this.parentModel.getAccessLevel() >= AccessType.WRITE;
        if (canWrite) {
            addToMenu(this, 'g-new-stitch-session', 'picture', 'New stitch session', 'stitch');
        }
        if (getCurrentUser()) {
            addToMenu(this, 'g-zarr-share-folder', 'link', 'Share as OME-Zarr', 'share');
        }
        const container = $('<div class="g-stitch-sessions-container">');
        this.$('.g-folder-list-container').before(container);
        this._unmountStitchSessions = mount(container[0], 'folder', 'showSessions', {
            folderId: this.parentModel.id,
            canWrite,
            // A finished session has put an item into the folder.
            onCompleted: () => this.itemListView.collection.fetch(undefined, true)
        });
    }
    return result;
});

wrap(HierarchyWidget, 'destroy', function (destroy, ...args) {
    unmount(this);
    return destroy.apply(this, args);
});

/** An entry of the folder's menu that leads to a page of ours. */
function addToMenu(widget, name, icon, text, route) {
    const menu = widget.$('.g-folder-actions-menu');
    if (menu.find(`.${name}`).length) {
        return;
    }
    const entry = $(`<li role="presentation"><a class="${name}" role="menuitem">` +
        `<i class="icon-${icon}" aria-hidden="true"></i>${text}</a></li>`);
    entry.find('a').attr('href', `#folder/${widget.parentModel.id}/${route}`);
    menu.append(entry);
    widget.$('.g-folder-actions-button').girderEnable(true);
}
