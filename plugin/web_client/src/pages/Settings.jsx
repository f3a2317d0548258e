import { useEffect, useRef, useState } from 'preact/hooks';
import { itemIdFrom } from '../lib/priorities.js';
import { Explanation } from '../ui/Explanation.jsx';
import { SettingForms } from '../ui/SettingForms.jsx';
import { SourceOrder } from '../ui/SourceOrder.jsx';
import { useTitle } from '../ui/hooks.js';
import { Message } from '../ui/parts.jsx';

const { getCurrentUser } = girder.auth;
const { PluginConfigBreadcrumbWidget } = girder.views.widgets;
/** A parent for Girder's widget, which is a Backbone view. */
const PARENT = { registerChildView: () => {}, unregisterChildView: () => {} };

function Breadcrumb() {
    const element = useRef(null);
    useEffect(() => {
        const widget = new PluginConfigBreadcrumbWidget({
            pluginName: 'Zarr', el: element.current, parentView: PARENT
        }).render();
        return () => widget.destroy();
    }, []);
    return <div class="g-config-breadcrumb-container" ref={element} />;
}

/** Ask for an item: who opens it, and why. */
function WhyThisSource() {
    const [typed, setTyped] = useState('');
    const [asked, setAsked] = useState(null);
    function ask(event) {
        event.preventDefault();
        setAsked({ id: itemIdFrom(typed) });
    }
    return (
        <section aria-labelledby="g-zarr-why">
            <h2 id="g-zarr-why">Why this source?</h2>
            <form class="g-zarr-explain-form" onSubmit={ask}>
                <label for="g-zarr-explain-item">Item: its id, or the address of its page</label>
                <div class="g-zarr-buttons">
                    <input
                        id="g-zarr-explain-item" class="form-control input-sm" value={typed}
                        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
                    />
                    <button type="submit" class="btn btn-default btn-sm">Explain</button>
                </div>
            </form>
            {asked && !asked.id
                ? <Message>Expected the id of an item (24 digits 0-9, a-f) or the address of its page.</Message>
                : null}
            {asked && asked.id ? <Explanation itemId={asked.id} /> : null}
        </section>
    );
}

function Settings() {
    useTitle('Zarr');
    const user = getCurrentUser();
    if (!user || !user.get('admin')) {
        return <Message kind="warning">Only administrators see this page.</Message>;
    }
    return (
        <div class="g-zarr-page g-zarr-settings">
            <Breadcrumb />
            <section aria-labelledby="g-zarr-order">
                <h2 id="g-zarr-order">Tile sources</h2>
                <SourceOrder />
            </section>
            <WhyThisSource />
            <section aria-labelledby="g-zarr-settings">
                <h2 id="g-zarr-settings">Settings</h2>
                <SettingForms />
            </section>
        </div>
    );
}

export { Settings };
