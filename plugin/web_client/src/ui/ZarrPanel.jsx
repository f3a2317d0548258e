import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { factsOf, levelsOf, snippetsOf } from '../lib/zarrFacts.js';
import { Snippet } from './Snippet.jsx';
import { Facts, Failure, Message } from './parts.jsx';

const { getApiRoot } = girder.rest;

const PLATES = ['plate', 'well'];

/** Which fields of a plate cannot be read; all that one may ask for are looked at. */
function Damage({ itemId, known }) {
    const [{ answer, failure }, setState] = useState({});
    useEffect(() => {
        get(`zarr/item/${itemId}/images/problems`).then((found) => setState({ answer: found }))
            .catch((error) => setState({ failure: error }));
    }, [itemId]);
    if (failure) {
        return <p class="g-zarr-hint">{`Whether all fields can be read is not known: ${failure.message}`}</p>;
    }
    if (!answer) {
        return <p role="status">The fields are looked at…</p>;
    }
    const { fields, all } = answer;
    const problems = answer.problems.filter((text) => !known.includes(text));
    return (
        <>
            {problems.length
                ? (
                    <Message kind="warning">
                        {'Fields that are left out of the whole plate:'}
                        <ul>{problems.map((text) => <li key={text}>{text}</li>)}</ul>
                    </Message>
                )
                : null}
            <p class="g-zarr-hint">
                {fields < all ? `The first ${fields} of ${all} fields were looked at.` : `All ${all} fields were looked at.`}
            </p>
        </>
    );
}

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
            {PLATES.includes(found.kind) && found.seriesCount > 1 ? <Damage itemId={itemId} known={problems} /> : null}
            {found.schemas ? <p class="g-zarr-hint">{found.schemas}</p> : null}
            {snippetsOf({ api, itemId, fileId, name, level: ((found.levels || [])[0] || { path: '0' }).path }).map((snippet) => <Snippet key={snippet.title} {...snippet} />)}
        </div>
    );
}

export { ZarrPanel };
