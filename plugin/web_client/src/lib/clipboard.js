/**
 * Put a text on the clipboard. Browsers give pages that did not come over https or from this machine no clipboard; there
 * the text is selected and copied as a person would.
 *
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there.
 */
async function copyText(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const field = document.createElement('textarea');
        const focused = document.activeElement;
        field.value = text;
        field.style.position = 'fixed';
        field.style.opacity = '0';
        document.body.appendChild(field);
        field.select();
        const isCopied = document.execCommand('copy');
        field.remove();
        if (focused) {
            focused.focus();
        }
        return isCopied;
    }
}

export { copyText };
