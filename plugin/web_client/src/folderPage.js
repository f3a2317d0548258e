import StitchSessionsView from './views/StitchSessionsView';

const { wrap } = girder.utilities.PluginUtils;
const { HierarchyWidget } = girder.views.widgets;

/** Whether a hierarchy widget is a folder's page; dialogs that pick a folder or an item use the widget as well. */
function isFolderPage(widget) {
    return widget.parentModel.resourceName === 'folder' &&
        widget._showActions && widget._showItems && widget._showMetadata && widget._routing;
}

wrap(HierarchyWidget, 'render', function (render, ...args) {
    if (this.stitchSessionsView) {
        this.stitchSessionsView.destroy();
        this.stitchSessionsView = null;
    }
    const result = render.apply(this, args);
    if (isFolderPage(this)) {
        const container = girder.$('<div class="g-stitch-sessions-container">');
        this.$('.g-item-list-container').after(container);
        this.stitchSessionsView = new StitchSessionsView({
            el: container,
            parentView: this,
            folderId: this.parentModel.id,
            accessLevel: this.parentModel.getAccessLevel()
        });
        // A finished session has put an item into the folder.
        this.stitchSessionsView.on('g:completed', () => this.itemListView.collection.fetch(undefined, true));
    }
    return result;
});
