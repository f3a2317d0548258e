import { useState } from 'preact/hooks';
import { LENGTH, sentenceOfBytes } from '../lib/firstBytes.js';
import { extensionOf, itemIdFrom } from '../lib/priorities.js';
import { DropZone } from './DropZone.jsx';
import { Explanation } from './Explanation.jsx';
import { Text } from './SpecForm.jsx';

/**
 * Ask who opens an item, a file of a name, or a file that is dropped, and why.
 *
 * @param {Object} props
 * @param {*} props.revision changes with the order of the sources.
 */
function WhySource({ revision }) {
    const [typed, setTyped] = useState('');
    const [mimeType, setMimeType] = useState('');
    const [asked, setAsked] = useState(null);
    const [bytes, setBytes] = useState(null);
    function ask(event) {
        event.preventDefault();
        const itemId = itemIdFrom(typed);
        const name = typed.trim();
        setBytes(null);
        setAsked(itemId ? { itemId } : name ? { name, mimeType: mimeType.trim() } : null);
    }
    async function drop([{ file }]) {
        setTyped(file.name);
        setMimeType(file.type);
        setAsked({ name: file.name, mimeType: file.type });
        const first = new Uint8Array(await file.slice(0, LENGTH).arrayBuffer());
        setBytes(sentenceOfBytes(first, extensionOf(file.name)));
    }
    return (
        <>
            <form class="g-zarr-explain-form" onSubmit={ask}>
                <div class="g-zarr-fields">
                    <Text
                        label="Item, or name of a file" hint="The id of an item, the address of its page, or a name such as slide.tif"
                        value={typed} onInput={setTyped} spellcheck={false}
                    />
                    <Text
                        label="MIME type of the file" hint="As it is uploaded; not needed for an item" value={mimeType}
                        onInput={setMimeType} spellcheck={false} placeholder="image/tiff"
                    />
                </div>
                <p class="g-zarr-buttons">
                    <button type="submit" class="btn btn-default btn-sm">Explain</button>
                </p>
            </form>
            <DropZone onFiles={drop} compact single>
                <span>Or drop a file here: of it the server gets the name and the MIME type, and nothing else.</span>
            </DropZone>
            {bytes ? <p class="g-zarr-first-bytes">{bytes}</p> : null}
            {asked ? <Explanation {...asked} revision={revision} /> : null}
        </>
    );
}

export { WhySource };
