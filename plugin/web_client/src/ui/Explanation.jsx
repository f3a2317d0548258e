import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { Message } from './parts.jsx';

/** Which tile source opens an item, and what each of them says about it. */
function Explanation({ itemId }) {
    const [{ answer, failure }, setState] = useState({});
    useEffect(() => {
        let isGone = false;
        setState({});
        get(`zarr/item/${itemId}/source`).then((found) => isGone || setState({ answer: found }))
            .catch((error) => isGone || setState({ failure: error }));
        return () => {
            isGone = true;
        };
    }, [itemId]);
    if (failure) {
        return <Message data-error>{failure.message}</Message>;
    }
    if (!answer) {
        return <p class="text-muted" role="status">Every source is asked whether it can read the file…</p>;
    }
    const { fileName, wouldChoose, current, sources } = answer;
    return (
        <div class="g-zarr-explanation">
            <p>
                <span class="g-zarr-explanation-file">{fileName}</span>
                {wouldChoose
                    ? <>{' would be opened by '}<strong class="g-zarr-explanation-chosen">{wouldChoose}</strong>.</>
                    : ' would be opened by no source.'}
                {current && current !== wouldChoose
                    ? (
                        <>
                            {' The item is registered with '}<strong class="g-zarr-explanation-current">{current}</strong>
                            {' and stays with it until its large image is removed and made again.'}
                        </>
                    )
                    : current ? ' That is also what the item is registered with.' : null}
            </p>
            <div class="table-responsive" tabindex="0" role="region" aria-label="What each source says">
                <table class="table table-condensed">
                    <thead>
                        <tr>
                            {['Source', 'Priority', 'By', 'Can read it', 'Why not'].map((name) => (
                                <th key={name} scope="col">{name}</th>
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
                                <td>{source.canRead === null ? 'not asked' : source.canRead ? 'yes' : 'no'}</td>
                                <td class="g-zarr-explanation-reason">{source.reason || ''}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </div>
    );
}

export { Explanation };
