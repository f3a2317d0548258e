import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { Message } from './parts.jsx';

/** Where to ask about an item, or about a file of which only name and MIME type are known. */
function questionOf({ itemId, name, mimeType }) {
    return itemId ? [`zarr/item/${itemId}/source`] : ['zarr/source/explanation', { name, mimeType }];
}

/**
 * Which tile source opens an item or would be asked for a file, and what each of them says about it.
 *
 * @param {Object} props
 * @param {string} [props.itemId] an item, whose file is opened, or
 * @param {string} [props.name] the name of a file, and
 * @param {string} [props.mimeType]
 * @param {*} [props.revision] another value asks again.
 */
function Explanation({ itemId, name, mimeType, revision }) {
    const [{ answer, failure }, setState] = useState({});
    useEffect(() => {
        let isGone = false;
        get(...questionOf({ itemId, name, mimeType })).then((found) => isGone || setState({ answer: found }))
            .catch((error) => isGone || setState({ failure: error }));
        return () => {
            isGone = true;
        };
    }, [itemId, name, mimeType, revision]);
    if (failure) {
        return <Message data-error>{failure.message}</Message>;
    }
    if (!answer) {
        return <p class="text-muted" role="status">Every source is asked whether it can read the file…</p>;
    }
    const { fileName, summary, wouldChoose, sources } = answer;
    return (
        <div class="g-zarr-explanation">
            <p>
                <span class="g-zarr-explanation-file">{fileName}</span>
                {itemId
                    ? wouldChoose
                        ? <>{' would be opened by '}<strong class="g-zarr-explanation-chosen">{wouldChoose}</strong>.</>
                        : ' would be opened by no source.'
                    : ' is not there to be opened: this is the order in which the sources are asked.'}
            </p>
            <ul class="g-zarr-explanation-why">
                {summary.map((sentence) => <li key={sentence}>{sentence}</li>)}
            </ul>
            <div class="table-responsive" tabindex="0" role="region" aria-label="What each source says">
                <table class="table table-condensed">
                    <thead>
                        <tr>
                            {['Source', 'Priority', 'By', ...(itemId ? ['Can read it'] : []), 'Why not'].map((one) => (
                                <th key={one} scope="col">{one}</th>
                            ))}
                        </tr>
                    </thead>
                    <tbody>
                        {sources.map((source) => (
                            <tr
                                key={source.source} data-source={source.source}
                                class={source.wouldChoose ? 'success' : ''}
                            >
                                <th scope="row">{source.source}{source.current ? ' (registered)' : ''}</th>
                                <td>{source.considered ? `${source.priorityName} (${source.priority})` : 'never'}</td>
                                <td>{source.matched}{source.geospatialMismatch ? ', geospatial mismatch' : ''}</td>
                                {itemId
                                    ? <td>{source.canRead === null ? 'not asked' : source.canRead ? 'yes' : 'no'}</td>
                                    : null}
                                <td class="g-zarr-explanation-reason">{source.reason || ''}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            <p class="g-zarr-hint">
                Asked first are the sources that know the file by its extension, MIME type or name; of these, and then of the others,
                those with the lowest number. The names of priorities are large_image&rsquo;s.
            </p>
        </div>
    );
}

export { Explanation };
