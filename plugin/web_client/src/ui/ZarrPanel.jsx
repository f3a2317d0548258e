import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { factsOf, levelsOf, snippetsOf } from '../lib/zarrFacts.js';
import { Snippet } from './Snippet.jsx';
import { Facts, Failure, Message } from './parts.jsx';

const { getApiRoot } = girder.rest;

/** What the file of an OME-Zarr image holds, and how it is opened elsewhere. */
function ZarrPanel({ itemId, fileId }) {
    const [{ found, name, failure }, setState] = useState({});
    useEffect(() => {
        Promise.all([get(`item/${itemId}/tiles/internal_metadata`), get(`file/${fileId}`)])
            .then(([all, file]) => setState({ found: all.zarr || null, name: file.name }))
            .catch((error) => setState({ failure: error }));
    }, [itemId]);
    if (failure) {
        return <Failure failure={failure} />;
    }
    if (!found) {
        return <p role="status">Loading…</p>;
    }
    const problems = (found.problems || []).map((problem) => (
        typeof problem === 'string' ? problem : problem.message || JSON.stringify(problem)));
    const api = new URL(getApiRoot(), window.location.href).href;
    return (
        <div class="g-zarr-panel">
            <Facts facts={factsOf(found)} />
            <div class="table-responsive" tabindex="0" role="region" aria-label="Levels">
                <table class="table table-condensed g-zarr-levels">
                    <thead>
                        <tr>{['Level', 'Shape', 'Chunks', 'Codecs'].map((one) => <th key={one} scope="col">{one}</th>)}</tr>
                    </thead>
                    <tbody>
                        {levelsOf(found).map(({ path, shape, chunks, codecs }) => (
                            <tr key={path}><th scope="row">{path}</th><td>{shape}</td><td>{chunks}</td><td>{codecs}</td></tr>
                        ))}
                    </tbody>
                </table>
            </div>
            {problems.length
                ? <Message kind="warning">Problems:<ul>{problems.map((text) => <li key={text}>{text}</li>)}</ul></Message>
                : null}
            {found.schemas ? <p class="g-zarr-hint">{found.schemas}</p> : null}
            {snippetsOf({ api, itemId, fileId, name }).map((snippet) => <Snippet key={snippet.title} {...snippet} />)}
        </div>
    );
}

export { ZarrPanel };
