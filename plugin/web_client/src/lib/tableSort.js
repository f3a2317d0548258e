/** The order of a table's rows; nothing here needs a page. */

/** Texts by the alphabet, numbers by size, nothing at the end. */
function compare(one, other) {
    const [isNone, isOtherNone] = [one, other].map((value) => value === null || value === undefined);
    if (isNone || isOtherNone) {
        return isNone - isOtherNone;
    }
    return typeof one === 'string' ? one.localeCompare(other) : one - other;
}

/**
 * @param {Object[]} rows
 * @param {string} column
 * @param {boolean} isDescending what has no value stays at the end.
 * @returns {Object[]} a sorted copy; equal rows stay in their order.
 */
function sortedBy(rows, column, isDescending) {
    return [...rows].sort((one, other) => {
        const [left, right] = [one[column], other[column]];
        const isAnyNone = [left, right].some((value) => value === null || value === undefined);
        return isDescending && !isAnyNone ? compare(right, left) : compare(left, right);
    });
}

export { sortedBy };
