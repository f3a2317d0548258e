import { copyText } from '../lib/clipboard.js';
import { toast } from './parts.jsx';

/** A text to copy. */
function Snippet({ title, text }) {
    async function copy() {
        if (await copyText(text)) {
            toast(`${title}: copied.`);
        } else {
            toast('The browser does not let this page copy; select the text instead.', 'warning');
        }
    }
    return (
        <div class="g-zarr-snippet">
            <span class="g-zarr-snippet-title">{title}</span>
            <pre tabindex="0" aria-label={title}>{text}</pre>
            <button type="button" class="btn btn-default btn-xs" aria-label={`Copy ${title}`} onClick={copy}>Copy</button>
        </div>
    );
}

export { Snippet };
