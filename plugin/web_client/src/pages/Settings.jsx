import { useEffect, useRef, useState } from 'preact/hooks';
import { SessionUse } from '../ui/SessionUse.jsx';
import { SettingForms } from '../ui/SettingForms.jsx';
import { SourceOrder } from '../ui/SourceOrder.jsx';
import { SourceRuns } from '../ui/SourceRuns.jsx';
import { WhySource } from '../ui/WhySource.jsx';
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

function Part({ name, title, children }) {
    return (
        <section aria-labelledby={`g-zarr-${name}`}>
            <h2 id={`g-zarr-${name}`}>{title}</h2>
            {children}
        </section>
    );
}

function Settings() {
    useTitle('Zarr');
    const [revision, setRevision] = useState(0);
    const user = getCurrentUser();
    if (!user || !user.get('admin')) {
        return <Message kind="warning">Only administrators see this page.</Message>;
    }
    return (
        <div class="g-zarr-page g-zarr-settings">
            <Breadcrumb />
            <Part name="order" title="Tile sources">
                <SourceOrder onChanged={() => setRevision((before) => before + 1)} />
            </Part>
            <Part name="why" title="Why this source?"><WhySource revision={revision} /></Part>
            <Part name="runs" title="Items that another source would open"><SourceRuns /></Part>
            <Part name="use" title="Use of stitch sessions"><SessionUse /></Part>
            <Part name="settings" title="Settings"><SettingForms /></Part>
        </div>
    );
}

export { Settings };
