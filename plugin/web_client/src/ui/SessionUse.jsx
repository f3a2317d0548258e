import { useEffect, useState } from 'preact/hooks';
import { get } from '../lib/api.js';
import { sortedBy } from '../lib/tableSort.js';
import { Failure, State } from './parts.jsx';

const { formatSize } = girder.misc;

/** Column, title, and whether it is a number or a time, which begin with the largest. */
const COLUMNS = [
    ['user', 'User', false], ['state', 'State', false], ['sessions', 'Sessions', true], ['patches', 'Patches', true],
    ['bytes', 'Size', true], ['oldest', 'Oldest', false], ['latest', 'Last change', true]
];

const dayOf = (text) => (text ? new Date(text).toLocaleDateString() : '');

/** How much the sessions of each user hold, by state; a click on a title sorts. */
function SessionUse() {
    const [answer, setAnswer] = useState(null);
    const [failure, setFailure] = useState(null);
    const [order, setOrder] = useState({ column: 'bytes', isDescending: true });
    useEffect(() => {
        get('zarr/use').then(setAnswer).catch(setFailure);
    }, []);
    if (!answer) {
        return failure ? <Failure failure={failure} /> : <p role="status">Loading…</p>;
    }
    const { total, rowCount } = answer;
    if (!total.sessions) {
        return <p>There are no stitch sessions.</p>;
    }
    const rows = answer.rows.map((row) => ({ ...row, user: row.login || 'a user who is gone' }));
    function sort(column, isDescending) {
        setOrder({ column, isDescending: order.column === column ? !order.isDescending : isDescending });
    }
    return (
        <div class="table-responsive" tabindex="0" role="region" aria-label="Use of sessions">
            <table class="table table-condensed g-zarr-use">
                <thead>
                    <tr>
                        {COLUMNS.map(([column, title, isDescending]) => (
                            <th
                                key={column} scope="col"
                                aria-sort={order.column !== column ? 'none' : order.isDescending ? 'descending' : 'ascending'}
                            >
                                <button type="button" class="g-zarr-sort" onClick={() => sort(column, isDescending)}>
                                    {title}
                                    <span aria-hidden="true">
                                        {order.column !== column ? '' : order.isDescending ? ' ▾' : ' ▴'}
                                    </span>
                                </button>
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {sortedBy(rows, order.column, order.isDescending).map((row) => (
                        <tr key={`${row.userId} ${row.state}`} data-user={row.user} data-state={row.state}>
                            <th scope="row" title={row.userName || ''}>
                                {row.login ? <a href={`#user/${row.userId}`}>{row.user}</a> : row.user}
                            </th>
                            <td><State state={row.state} /></td>
                            <td>{row.sessions.toLocaleString()}</td>
                            <td>{row.patches.toLocaleString()}</td>
                            <td>{formatSize(row.bytes)}</td>
                            <td>{dayOf(row.oldest)}</td>
                            <td>{dayOf(row.latest)}</td>
                        </tr>
                    ))}
                </tbody>
                <tfoot>
                    <tr>
                        <th scope="row">{rowCount > rows.length ? `All ${rowCount} rows` : 'Together'}</th>
                        <td />
                        <td>{total.sessions.toLocaleString()}</td>
                        <td>{total.patches.toLocaleString()}</td>
                        <td>{formatSize(total.bytes)}</td>
                        <td>{dayOf(total.oldest)}</td>
                        <td />
                    </tr>
                </tfoot>
            </table>
        </div>
    );
}

export { SessionUse };
