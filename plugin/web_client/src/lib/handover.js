/** Files that were dropped on one page for the next one to take. */
let waiting = null;

/** @param {File[]} files */
function handOver(files) {
    waiting = files;
}

/** @returns {File[]} what was handed over, once. */
function takeOver() {
    const files = waiting || [];
    waiting = null;
    return files;
}

export { handOver, takeOver };
