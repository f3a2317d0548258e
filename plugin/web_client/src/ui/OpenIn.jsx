import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { addressOf, groupsOf, isInsecure } from '../lib/share.js';
import { Check, Select } from './SpecForm.jsx';
import { Snippet } from './Snippet.jsx';
import { Failure } from './parts.jsx';

/**
 * The programs that open an image by its address: links, and texts to copy.
 *
 * @param {Object} props
 * @param {string} props.url of a share link.
 * @param {boolean} props.isItem whether the same image is there with chunks that every program decodes.
 */
function OpenIn({ url, isItem }) {
    const [{ links, texts }, setViewers] = useState({ links: [], texts: [] });
    const [failure, setFailure] = useState(null);
    const [transcoded, setTranscoded] = useState(false);
    const [chosen, setChosen] = useState('0');
    const address = addressOf(url, { transcoded });
    useEffect(() => {
        get('zarr_link/viewers', { url: address }).then((all) => setViewers(groupsOf(all))).catch(setFailure);
    }, [address]);
    const text = texts[Number(chosen)];
    return (
        <div class="g-zarr-open-in">
            <Snippet title="Address" text={address} />
            <Failure failure={failure} />
            <p class="g-zarr-buttons">
                {links.map(({ name, text: href }) => (
                    <a key={name} class="btn btn-default btn-sm" href={href} target="_blank" rel="noopener noreferrer">
                        {`Open in ${name}`}
                    </a>
                ))}
            </p>
            {links.length
                ? (
                    <p class="g-zarr-hint">
                        {'These open in a new tab, and their hosts may see the address. '}
                        {isInsecure(url) ? 'This Girder is not reached over https: pages that are cannot read from it.' : ''}
                    </p>
                )
                : null}
            {text
                ? (
                    <>
                        <Select
                            label="Another program" value={chosen} onInput={setChosen}
                            options={Object.fromEntries(texts.map(({ name }, at) => [at, name]))}
                        />
                        <Snippet title={text.name} text={text.text} />
                    </>
                )
                : null}
            {isItem
                ? (
                    <Check
                        label="For programs that do not know the codec of the file (JPEG, JPEG XL): with chunks in zstd"
                        checked={transcoded} onInput={setTranscoded}
                    />
                )
                : null}
        </div>
    );
}

export { OpenIn };
