/** The store of this page, and what tells it of changes. */
import { request } from './api.js';
import { SessionStore } from './sessionStore.js';

const { events } = girder;
const { eventStream } = girder.utilities;

const store = new SessionStore({ request });

eventStream.on('g:event.stitch_session', (event) => store.noticed(event.data));
events.on('g:login', () => store.changed());
document.addEventListener('visibilitychange', () => {
    if (!document.hidden) {
        store.changed();
    }
});

export default store;
