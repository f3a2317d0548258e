import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { PlateGrid } from './PlateGrid.jsx';
import { SeriesChooser } from './SeriesChooser.jsx';
import { Message } from './parts.jsx';

/**
 * What there is to choose from in the file of an item; nothing where it holds one image.
 *
 * @param {Object} props
 * @param {string} props.itemId
 * @param {import('../lib/shown.js').Shown} props.shown
 */
function ImageChooser({ itemId, shown }) {
    const [images, setImages] = useState(null);
    const [choice, setChoice] = useState(shown.now);
    useEffect(() => {
        get(`zarr/item/${itemId}/images`).then(setImages).catch(() => setImages(null)); // the viewer says what is wrong
        setChoice(shown.now); // it may have changed between what was drawn and this
        return shown.watch(setChoice);
    }, [itemId]);
    const props = { itemId, images, shown, choice };
    return (
        <>
            {images && images.plate ? <PlateGrid {...props} /> : null}
            {images && images.series.length > 1 ? <SeriesChooser {...props} /> : null}
            {choice.refusal ? <Message kind="warning">{choice.refusal}</Message> : null}
        </>
    );
}

export { ImageChooser };
