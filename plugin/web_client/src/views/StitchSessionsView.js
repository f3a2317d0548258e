import { timeLeftText } from '../preview';
import { messageOf } from '../priorities';
import { actionsOf, isIncomplete, isLive, newlyComplete, patchesText, percentOf } from '../sessions';
import template from '../templates/stitchSessions.pug';

const { _ } = girder;
const { AccessType } = girder.constants;
const { confirm } = girder.dialog;
const { formatSize } = girder.misc;
const { restRequest } = girder.rest;
const { eventStream } = girder.utilities;
const { View } = girder.views;

const LIVE_INTERVAL = 2000;
const IDLE_INTERVAL = 15000;
const PAGE = 50;

/**
 * The stitch sessions of a folder, kept up to date.
 *
 * Notifications make a change show at once, but they are delivered at most once and only to the user who started the
 * job; so the page also asks: every two seconds while a session is open or finalizing, seldom otherwise, and never
 * while nobody can see it.
 *
 * Triggers 'g:completed' when a session has become complete.
 */
const StitchSessionsView = View.extend({
    events: {
        'click .g-stitch-session-action': '_act',
        'click .g-stitch-sessions-more': function () {
            this.limit += PAGE;
            this.refresh();
        }
    },

    initialize: function (settings) {
        this.folderId = settings.folderId;
        this.canWrite = settings.accessLevel >= AccessType.WRITE;
        this.sessions = [];
        this.total = 0;
        this.limit = PAGE;
        this.message = null;

        this._refreshSoon = _.debounce(() => this.refresh(), 200);
        this.listenTo(eventStream, 'g:event.job_status g:event.job_progress g:event.progress', this._refreshSoon);
        this.listenTo(eventStream, 'g:event.stitch_session', (event) => {
            if (event.data.folderId === this.folderId) {
                this._refreshSoon();
            }
        });
        this._onVisibility = () => {
            if (!document.hidden) {
                this.refresh();
            }
        };
        document.addEventListener('visibilitychange', this._onVisibility);
        this.refresh();
    },

    destroy: function () {
        this._destroyed = true;
        window.clearTimeout(this._timer);
        document.removeEventListener('visibilitychange', this._onVisibility);
        if (this._request) {
            this._request.abort();
        }
        View.prototype.destroy.apply(this, arguments);
    },

    /** Ask the server for the sessions and show them. One request at a time: the newer one counts. */
    refresh: function () {
        if (this._destroyed) {
            return;
        }
        window.clearTimeout(this._timer);
        if (this._request) {
            this._request.abort();
        }
        const request = restRequest({
            url: 'stitch_session',
            data: { folderId: this.folderId, limit: this.limit, sort: 'created', sortdir: -1 },
            error: null
        });
        this._request = request;
        request.done((sessions) => {
            const completed = newlyComplete(this.sessions, sessions);
            this.sessions = sessions;
            this.total = Number(request.getResponseHeader('Girder-Total-Count')) || sessions.length;
            this.stale = false;
            this.render();
            if (completed.length) {
                this.trigger('g:completed', completed);
            }
        }).fail((response) => {
            if (response.statusText !== 'abort') {
                this.stale = true;
                this.render();
            }
        }).always(() => {
            if (this._request === request) {
                this._request = null;
                this._schedule();
            }
        });
    },

    _schedule: function () {
        if (this._destroyed || document.hidden) {
            return;
        }
        const wait = _.some(this.sessions, isLive) && !this.stale ? LIVE_INTERVAL : IDLE_INTERVAL;
        this._timer = window.setTimeout(() => this.refresh(), wait);
    },

    /** Show what is known. Does nothing when that is what stands there: focus and tooltips stay. */
    render: function () {
        if (this._destroyed) {
            return this;
        }
        const html = this.sessions.length || this.message
            ? template({
                sessions: this.sessions.map((session) => this._describe(session)),
                hidden: Math.max(0, this.total - this.sessions.length),
                message: this.message,
                stale: this.stale
            })
            : '';
        if (html !== this._shown) {
            const focused = this.$(':focus').attr('id');
            this.$el.html(html);
            this._shown = html;
            if (focused) {
                this.$(`#${focused}`).trigger('focus');
            }
        }
        return this;
    },

    _describe: function (session) {
        return {
            id: session._id,
            name: session.name,
            state: session.state,
            patches: patchesText(session),
            size: formatSize((session.counts && session.counts.bytes) || 0),
            // Patches can be gone after the end, when the spec does not keep them.
            previewed: session.state !== 'complete' || (session.counts && session.counts.patches > 0),
            percent: percentOf(session),
            timeLeft: timeLeftText(session.progress && session.progress.timeLeft),
            progressMessage: (session.progress && session.progress.message) || '',
            itemId: session.state === 'complete' ? session.itemId : null,
            // A job belongs to the one who finalized; readers of the folder could not open it.
            jobId: this.canWrite ? session.jobId : null,
            error: session.state === 'error' ? session.error || 'The job failed.' : null,
            actions: this.canWrite ? actionsOf(session) : []
        };
    },

    _act: function (event) {
        const button = girder.$(event.currentTarget);
        const id = button.closest('.g-stitch-session').attr('data-session-id');
        const session = _.findWhere(this.sessions, { _id: id });
        const action = button.attr('data-action');
        if (!session) {
            return;
        }
        if (action === 'delete') {
            this._confirmed(`Delete the stitch session "${session.name}" with its ${patchesText(session)}?` +
                ' A finished image stays.', 'Delete', () => this._send('DELETE', session, ''));
        } else if (action === 'cancel' && session.state === 'finalizing') {
            this._confirmed(`Stop making the image of "${session.name}"? Its patches stay.`, 'Stop',
                () => this._send('POST', session, '/cancel'));
        } else if (action === 'finalize' && isIncomplete(session)) {
            this._confirmed(`Only ${patchesText(session)} of "${session.name}" have arrived. Finalize anyway?`,
                'Finalize', () => this._send('POST', session, '/finalize', { force: true }));
        } else {
            this._send('POST', session, `/${action}`);
        }
    },

    _confirmed: function (text, yesText, confirmCallback) {
        confirm({ text, yesText, confirmCallback });
    },

    _send: function (method, session, path, data = {}) {
        this.message = null;
        // The data of a POST go into the query: these routes take no body, but do take an empty one.
        const query = girder.$.param(data);
        return restRequest({
            method,
            url: `stitch_session/${session._id}${path}${query ? '?' + query : ''}`,
            data: method === 'POST' ? '' : undefined,
            error: null
        }).fail((response) => {
            this.message = `${session.name}: ${messageOf(response)}`;
        }).always(() => this.refresh());
    }
});

export default StitchSessionsView;
