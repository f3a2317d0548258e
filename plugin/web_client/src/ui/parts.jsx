/** Small parts that all pages are made of. Preact escapes what is put between tags. */
import { toast } from './toasts.js';

const { $, events } = girder;
const { setCurrentToken, setCurrentUser } = girder.auth;

const STATES = {
    open: 'open', finalizing: 'finalizing', complete: 'complete', error: 'error', cancelled: 'cancelled', running: 'running'
};

function Icon({ name }) {
    return <i class={`icon-${name}`} aria-hidden="true" />;
}

function State({ state }) {
    return <span class={`g-zarr-state g-stitch-session-state g-zarr-state-${STATES[state] || 'other'}`}>{state}</span>;
}

function Message({ kind = 'danger', children, ...rest }) {
    return <div class={`alert alert-${kind} g-zarr-message`} role="alert" {...rest}>{children}</div>;
}

/** A failed request: what the server said, and where it helps, a way to sign in. */
function Failure({ failure }) {
    if (!failure) {
        return null;
    }
    if (failure.status === 401) {
        return (
            <Message kind="warning">
                {'You are not signed in, or your login has ended. '}
                <button type="button" class="btn btn-default btn-sm g-zarr-sign-in" onClick={signIn}>Sign in</button>
            </Message>
        );
    }
    return <Message>{failure.message}</Message>;
}

/** Girder's dialogs lie behind what fills the screen. */
async function leaveFullScreen() {
    if (document.fullscreenElement) {
        await document.exitFullscreen();
    }
}

async function signIn() {
    const focused = document.activeElement;
    await leaveFullScreen();
    dialogClosed(() => {
        if (focused && focused.isConnected) {
            focused.focus();
        }
    });
    // Girder's dialog closes at once while the page believes that somebody is signed in.
    setCurrentUser(null);
    setCurrentToken(null);
    events.trigger('g:loginUi');
}

/** A button that does nothing for a while: where it has the focus it keeps it, which one that is disabled does not. */
function Button({ isOff = false, onClick, ...rest }) {
    return (
        <button
            type="button" aria-disabled={isOff ? 'true' : undefined} {...rest}
            onClick={(event) => (isOff ? undefined : onClick(event))}
        />
    );
}

/** One line under another with a label: [label, content] pairs; empty ones are left out. */
function Facts({ facts }) {
    return (
        <dl class="g-zarr-facts">
            {facts.filter(([, content]) => content !== null && content !== undefined && content !== '')
                .map(([label, content]) => <div key={label}><dt>{label}</dt><dd>{content}</dd></div>)}
        </dl>
    );
}

/** Call once when Girder's dialog, of which there is one for all, is closed. */
function dialogClosed(call) {
    $('#g-dialog-container').one('hidden.bs.modal', call);
}

/**
 * Ask in Girder's dialog; the promise says whether the answer was yes. The focus returns to where it was.
 *
 * @returns {Promise<boolean>}
 */
async function confirmed(text, yesText, yesClass = 'btn-danger') {
    const focused = document.activeElement;
    await leaveFullScreen();
    return new Promise((resolve) => {
        let answer = false;
        girder.dialog.confirm({
            text, yesText, yesClass, confirmCallback: () => {
                answer = true;
            }
        });
        dialogClosed(() => {
            if (focused && focused.isConnected) {
                focused.focus();
            }
            resolve(answer);
        });
    });
}

export { Button, Facts, Failure, Icon, Message, State, confirmed, signIn, toast };
