import { useEffect, useState } from 'preact/hooks';
import { copyText } from '../lib/clipboard.js';
import { toast } from './parts.jsx';

/**
 * A link to what is seen, and full screen.
 *
 * @param {Object} props
 * @param {function(): void} props.onCopy brings the address up to date.
 * @param {function(): HTMLElement} props.screen what fills the screen.
 */
function ViewButtons({ onCopy, screen }) {
    async function copy() {
        onCopy();
        if (await copyText(window.location.href)) {
            toast('The link to this view is copied.');
        } else {
            toast('The browser does not let this page copy; take the address of the page instead.', 'warning');
        }
    }
    const [isFull, setFull] = useState(false);
    useEffect(() => {
        // The browser's own key leaves it, too.
        const changed = () => setFull(Boolean(document.fullscreenElement));
        document.addEventListener('fullscreenchange', changed);
        return () => document.removeEventListener('fullscreenchange', changed);
    }, []);
    const toggle = () => (document.fullscreenElement ? document.exitFullscreen() : screen().requestFullscreen());
    return (
        <span class="g-zarr-view-buttons">
            <button type="button" class="btn btn-default btn-xs g-zarr-copy-link" onClick={copy}>Copy link</button>
            {' '}
            <button type="button" class="btn btn-default btn-xs g-zarr-full-screen" onClick={toggle}>
                {isFull ? 'Leave full screen' : 'Full screen'}
            </button>
        </span>
    );
}

export { ViewButtons };
