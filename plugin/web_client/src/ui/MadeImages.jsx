import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';

const { DATE_SECOND, formatDate } = girder.misc;
/** So many are listed, the newest. */
const MOST = 20;

/**
 * The images that were made of a session, the newest first; those that one may not see are left out.
 *
 * @param {Object} props
 * @param {Object} props.session
 */
function MadeImages({ session: { made, itemId } }) {
    const [items, setItems] = useState([]);
    // The last one alone has its link already.
    const isShown = made.length > (itemId ? 1 : 0);
    const asked = isShown ? made.slice(-MOST).reverse() : [];
    useEffect(() => {
        Promise.all(asked.map((id) => get(`item/${id}`).catch(() => null)))
            .then((found) => setItems(found.filter(Boolean)));
    }, [asked.join()]);
    return isShown && items.length
        ? (
            <section class="g-zarr-made-images" aria-labelledby="g-zarr-made-images">
                <h2 id="g-zarr-made-images">Images made of this session</h2>
                <ul>
                    {items.map(({ _id, name, created }) => (
                        <li key={_id}>
                            <a href={`#item/${_id}`}>{name}</a>
                            <span class="g-zarr-hint">{` ${formatDate(created, DATE_SECOND)}`}</span>
                        </li>
                    ))}
                </ul>
            </section>
        )
        : null;
}

export { MadeImages };
