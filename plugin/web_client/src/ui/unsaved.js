/** Changes that are not saved: whoever leaves the page is asked first. */
import { useLayoutEffect, useState } from 'preact/hooks';
import { confirmed } from './parts.jsx';

const { router } = girder;
const QUESTION = 'There are changes on this page that are not saved. Leave it without them?';

/** The forms that have changes. */
const unsaved = new Set();
/** The fragment of the page that asks. */
let here = null;
let isAsking = false;

function beforeUnload(event) {
    event.preventDefault();
}

/** What the router shows, with its query; Girder's dialogs change only that. */
const fragmentOf = (address) => address.split('#')[1] || '';
const pageOf = (fragment) => fragment.split('?')[0];

/** Put a question before everything that Girder's router shows. */
function guard() {
    here = fragmentOf(window.location.href);
    window.addEventListener('beforeunload', beforeUnload);
    const execute = router.execute;
    router.execute = function (callback, args, name) {
        const wanted = fragmentOf(window.location.href);
        if (!unsaved.size || pageOf(wanted) === pageOf(here)) {
            return execute.call(this, callback, args, name);
        }
        // The address is that of the next page already.
        router.navigate(here, { replace: true });
        ask(wanted);
        return false;
    };
    return () => {
        window.removeEventListener('beforeunload', beforeUnload);
        router.execute = execute;
    };
}

async function ask(wanted) {
    if (isAsking) {
        return;
    }
    isAsking = true;
    const answer = await confirmed(QUESTION, 'Leave');
    isAsking = false;
    if (answer) {
        unsaved.clear();
        router.navigate(wanted, { trigger: true });
    }
}

let remove = null;

function note(name, isUnsaved) {
    if (isUnsaved) {
        unsaved.add(name);
    } else {
        unsaved.delete(name);
    }
    if (unsaved.size && !remove) {
        remove = guard();
    } else if (!unsaved.size && remove) {
        remove();
        remove = null;
    }
}

/** Ask before the page is left while something is not saved. */
function useUnsaved(isUnsaved) {
    const [name] = useState(() => ({}));
    // Before anybody can leave.
    useLayoutEffect(() => {
        note(name, isUnsaved);
        return () => note(name, false);
    }, [isUnsaved]);
}

export { useUnsaved };
