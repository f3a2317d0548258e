/** Units of OME-NGFF as people write them; nothing here needs a page. */

const UNITS = {
    angstrom: 'Å', nanometer: 'nm', micrometer: 'µm', millimeter: 'mm', centimeter: 'cm', meter: 'm', kilometer: 'km',
    inch: 'in', foot: 'ft', yard: 'yd', mile: 'mi',
    nanosecond: 'ns', microsecond: 'µs', millisecond: 'ms', second: 's', minute: 'min', hour: 'h', day: 'd'
};

/** @returns {string} the sign of a unit, or its name where it is none of these. */
const unitText = (unit) => (Object.hasOwn(UNITS, unit) ? UNITS[unit] : unit);

export { unitText };
