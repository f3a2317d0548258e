/** A plate on the page of an item: its wells with a picture of each, the fields of one, all of it as one image. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { keepInAddress } from '../lib/address.js';
import { getBlob } from '../lib/api.js';
import {
    acquisitionsOf, fieldAt, fieldsOf, gridOf, keysOf, moved, numberFrom, pictureSide, placeName, sideOf
} from '../lib/plate.js';
import { usePicture } from './LazyPicture.jsx';
import { Message } from './parts.jsx';

const { getCurrentUser } = girder.auth;

const NOTHING = { series: null, well: null, field: null, acquisition: null };
/** The series of the tile source that is all of a plate. */
const WHOLE = 'overview';
const FIELD_SIDE = 56;
/** Fields of a well that have a picture each; of more, one is chosen by its number. */
const MAX_PICTURES = 200;
const TEXTS = { none: 'not imaged', missing: 'missing', empty: 'nothing stored', damaged: 'cannot be read', unknown: 'no picture' };

const counted = (count, one) => `${count} ${one}${count === 1 ? '' : 's'}`;

/** One place of the grid. */
function Place({ name, well, numbers, side, file, row, column, isFocused, isSelected, onFound, onOpen }) {
    const [element, { kind, url }] = usePicture(
        file, numbers.length ? numbers[0] : null, pictureSide(side, window.devicePixelRatio || 1), { onFound });
    const status = well === null ? 'none' : well.fields === 0 ? 'missing' : numbers.length ? kind : 'none';
    return (
        <td
            ref={element} role="gridcell" class="g-zarr-well" data-place={`${row},${column}`} data-well={name} data-status={status}
            style={{ minWidth: `${side}px`, height: `${side}px` }} tabIndex={isFocused ? 0 : -1} aria-selected={isSelected}
            aria-label={`${name}, ${TEXTS[status] || counted(numbers.length, 'field')}`} title={name}
            onClick={() => onOpen(row, column)}
        >
            {url ? <img src={url} alt="" draggable={false} /> : null}
        </td>
    );
}

/** A row of the grid; it is drawn anew only where something in it changes. */
function Row({ plate, wells, row, acquisition, focused, selected, ...shared }) {
    return useMemo(() => (
        <tr role="row">
            <th scope="row" role="rowheader">{plate.rows[row]}</th>
            {wells.map((well, column) => (
                <Place
                    key={column} {...shared} row={row} column={column} well={well} name={placeName(plate, row, column)}
                    numbers={well ? fieldsOf(well, acquisition) : []}
                    isFocused={focused === column} isSelected={selected === column}
                />
            ))}
        </tr>
    ), [plate, wells, row, acquisition, focused, selected]);
}

/** All wells; arrows move, Enter opens. */
function Wells({ plate, acquisition, selected, onOpen, ...shared }) {
    const grid = useMemo(() => gridOf(plate), [plate]);
    const [at, setAt] = useState(selected || { row: 0, column: 0 });
    const table = useRef(null);
    const side = sideOf(plate.columns.length);
    function open(row, column) {
        setAt({ row, column });
        onOpen(grid[row][column], row, column);
    }
    function press(event) {
        const next = moved(at, event, plate.rows.length, plate.columns.length);
        if (next) {
            setAt(next);
            table.current.querySelector(`[data-place="${next.row},${next.column}"]`).focus();
        } else if (event.key === 'Enter' || event.key === ' ') {
            open(at.row, at.column);
        } else {
            return;
        }
        event.preventDefault();
    }
    return (
        <div class="g-zarr-wells">
            <table ref={table} role="grid" aria-label="Wells" onKeyDown={press}>
                <thead>
                    <tr role="row">
                        <td aria-hidden="true" />
                        {plate.columns.map((name) => <th key={name} scope="col" role="columnheader">{name}</th>)}
                    </tr>
                </thead>
                <tbody>
                    {grid.map((wells, row) => (
                        <Row
                            key={row} {...shared} plate={plate} wells={wells} row={row} side={side} acquisition={acquisition}
                            focused={at.row === row ? at.column : null}
                            selected={selected && selected.row === row ? selected.column : null} onOpen={open}
                        />
                    ))}
                </tbody>
            </table>
        </div>
    );
}

function FieldButton({ label, number, isSelected, file, onFound, onChoose }) {
    const side = pictureSide(FIELD_SIDE, window.devicePixelRatio || 1);
    const [element, { kind, url }] = usePicture(file, number, side, { onFound, isUrgent: true });
    return (
        <button
            ref={element} type="button" class="g-zarr-plate-field" data-status={kind} aria-pressed={isSelected}
            aria-label={`${label}${TEXTS[kind] ? `, ${TEXTS[kind]}` : ''}`} onClick={() => onChoose(number)}
        >
            {url ? <img src={url} alt="" draggable={false} /> : null}
            <span>{label.replace('Field ', '')}</span>
        </button>
    );
}

/** The fields of a well. */
function Fields({ well, numbers, selected, ...shared }) {
    if (numbers.length > MAX_PICTURES) {
        return (
            <label class="g-zarr-field-number">
                {`Field, 1 to ${well.fields} `}
                <input
                    type="number" min="1" max={well.fields} value={selected - well.first + 1}
                    onChange={({ currentTarget: { value } }) => {
                        const number = well.first + Math.round(Number(value)) - 1;
                        if (numbers.includes(number)) {
                            shared.onChoose(number);
                        }
                    }}
                />
            </label>
        );
    }
    return (
        <ul class="g-zarr-plate-field-list">
            {numbers.map((number) => (
                <li key={number}>
                    <FieldButton {...shared} number={number} label={`Field ${number - well.first + 1}`} isSelected={number === selected} />
                </li>
            ))}
        </ul>
    );
}

/** What the places that are no pictures mean, as far as there are some. */
function Legend({ kinds }) {
    const found = ['none', 'missing', 'empty', 'damaged'].filter((kind) => kinds.has(kind));
    return found.length
        ? (
            <ul class="g-zarr-plate-legend" aria-label="Places without a picture">
                {found.map((kind) => <li key={kind}><i class="g-zarr-well" data-status={kind} aria-hidden="true" />{TEXTS[kind]}</li>)}
            </ul>
        )
        : null;
}

/**
 * @param {Object} props
 * @param {string} props.itemId
 * @param {{kind: string, plate: import('../lib/plate.js').Plate, version: string}} props.images
 * @param {import('../lib/shown.js').Shown} props.shown
 * @param {import('../lib/shown.js').Choice} props.choice what is shown now.
 */
function PlateGrid({ itemId, images, shown, choice }) {
    const { plate, kind, version } = images;
    const file = useMemo(() => ({ itemId, version }), [itemId, version]);
    const acquisitions = useMemo(() => acquisitionsOf(plate), [plate]);
    const [acquisition, setAcquisition] = useState(() => {
        const { acquisition: asked = '' } = shown.query;
        return acquisitions.some(([id]) => id === asked) ? asked : null;
    });
    const [found, setFound] = useState({});
    const [note, setNote] = useState(null);
    useEffect(() => shown.choose({ place: numberFrom(shown.query, plate), refusal: shown.now.refusal }), [plate]);
    const isWhole = choice.series === WHOLE;
    useEffect(() => {
        if (isWhole && !getCurrentUser()) {
            // For somebody who has not signed in this may be too much, which the viewer would not say.
            getBlob(`item/${itemId}/tiles/zxy/0/0/0`, { series: WHOLE })
                .catch((failure) => failure.status === 413 && setNote(failure.message));
        }
    }, [isWhole]);
    const current = choice.place === null || isWhole ? null : fieldAt(plate, choice.place);
    const onFound = (number, one) => one.kind !== 'shown' && setFound((now) => ({ ...now, [number]: one }));
    const kept = acquisition === null ? null : acquisition;
    function show(number) {
        setNote(null);
        shown.choose({ series: null, place: number });
        // A place on the whole plate is none in a field.
        const view = isWhole ? { view: null } : {};
        keepInAddress({ ...NOTHING, ...view, ...keysOf(fieldAt(plate, number)), acquisition: kept });
    }
    function open(well, row, column) {
        const [first] = well ? fieldsOf(well, acquisition) : [];
        const name = placeName(plate, row, column);
        if (first !== undefined) {
            show(first);
        } else if (well === null) {
            setNote(`${name} was not imaged: the plate does not list it.`);
        } else {
            setNote(well.fields
                ? `${name} has no field of this acquisition.`
                : `The plate lists the well ${name}, but there is nothing at ${well.path}.`);
        }
    }
    const name = current && placeName(plate, current.well.row, current.well.column);
    const numbers = current ? fieldsOf(current.well, acquisition) : [];
    const fault = current && found[choice.place];
    const kinds = new Set(Object.values(found).map((one) => one.kind));
    const places = plate.rows.length * plate.columns.length;
    const missing = plate.wells.filter(({ fields }) => !fields).length;
    if (new Set(plate.wells.map(({ row, column }) => `${row},${column}`)).size < places) {
        kinds.add('none');
    }
    if (missing) {
        kinds.add('missing');
    }
    return (
        <section class="g-zarr-plate" aria-label={kind === 'plate' ? 'Plate' : 'Well'}>
            <div class="g-zarr-plate-head">
                {kind === 'plate'
                    ? (
                        <span>
                            {`Plate of ${plate.rows.length} × ${plate.columns.length}: ${counted(plate.wells.length - missing, 'well')}, `}
                            {counted(images.seriesCount, 'field')}
                        </span>
                    )
                    : <span>{`Well of ${counted(images.seriesCount, 'field')}`}</span>}
                {images.seriesCount > 1
                    ? (
                        <button
                            type="button" class="btn btn-default btn-xs" aria-pressed={isWhole}
                            onClick={() => {
                                setNote(null);
                                shown.choose({ series: WHOLE });
                                keepInAddress({ ...NOTHING, view: null, series: WHOLE, acquisition: kept });
                            }}
                        >
                            {kind === 'plate' ? 'Whole plate' : 'Whole well'}
                        </button>
                    )
                    : null}
                {acquisitions.length
                    ? (
                        <label>
                            {'Acquisition '}
                            <select
                                class="form-control input-sm"
                                onChange={({ currentTarget: { value } }) => {
                                    setAcquisition(value || null);
                                    keepInAddress({ acquisition: value || null });
                                }}
                            >
                                <option value="" selected={acquisition === null}>all</option>
                                {acquisitions.map(([id, title]) => (
                                    <option key={id} value={id} selected={acquisition === id}>{title}</option>
                                ))}
                            </select>
                        </label>
                    )
                    : null}
                <Legend kinds={kinds} />
            </div>
            {kind === 'plate'
                ? (
                    <Wells
                        plate={plate} file={file} acquisition={acquisition} onFound={onFound} onOpen={open}
                        selected={current && { row: current.well.row, column: current.well.column }}
                    />
                )
                : null}
            {note ? <Message kind="warning">{note}</Message> : null}
            {current
                ? (
                    <div class="g-zarr-plate-fields" role="group" aria-label={name ? `Fields of ${name}` : 'Fields'}>
                        <b aria-live="polite">{name ? `Well ${name}` : 'Fields'}</b>
                        <Fields
                            well={current.well} numbers={numbers} selected={choice.place} file={file} onFound={onFound}
                            onChoose={show}
                        />
                    </div>
                )
                : null}
            {fault && fault.sentence ? <Message kind="warning">{fault.sentence}</Message> : null}
        </section>
    );
}

export { PlateGrid };
