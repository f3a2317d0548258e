/** Whether a chosen file lies in Girder already, or on the disk of whoever chose it. */

/** @param {Blob|import('./girderFiles.js').GirderFile} file */
const isInGirder = ({ itemId }) => itemId !== undefined;

export { isInGirder };
