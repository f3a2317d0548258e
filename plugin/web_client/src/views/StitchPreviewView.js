import { boundsText, coverageText, frameAt, frameAxes, movedView, sameGeometry, timeLeftText } from '../preview';
import { messageOf } from '../priorities';
import { isLive, patchesText, percentOf } from '../sessions';
import details from '../templates/stitchPreviewDetails.pug';
import frames from '../templates/stitchPreviewFrames.pug';
import template from '../templates/stitchPreview.pug';
import { createViewer } from './sessionViewer';

const { $, _ } = girder;
const { restRequest } = girder.rest;
const { formatSize } = girder.misc;
const { eventStream } = girder.utilities;
const { View } = girder.views;

const LIVE_INTERVAL = 1000;
const IDLE_INTERVAL = 10000;

/**
 * What has arrived of a stitch session, in large_image's own viewer, kept up to date.
 *
 * Every second the session is asked for; only where its revision has changed are metadata and tiles. A new state is
 * put in the place of the one before when its tiles are there, so that nothing flickers.
 */
const StitchPreviewView = View.extend({
    events: {
        'input .g-stitch-preview-axis': function (event) {
            this.places[$(event.target).attr('data-axis')] = Number(event.target.value);
            this._showPlaces();
            this._showSoon();
        }
    },

    initialize: function (settings) {
        this.sessionId = settings.sessionId;
        this.session = null;
        this.metadata = null;
        this.coverage = null;
        this.places = {};
        this._refreshSoon = _.debounce(() => this.refresh(), 100);
        this._showSoon = _.debounce(() => this._showImage(), 100);
        this.listenTo(eventStream, 'g:event.stitch_session', (event) => {
            if (event.data._id === this.sessionId) {
                this._refreshSoon();
            }
        });
        this._onVisibility = () => {
            if (!document.hidden) {
                this.refresh();
            }
        };
        document.addEventListener('visibilitychange', this._onVisibility);
        this.$el.html(template());
        this.refresh();
    },

    destroy: function () {
        this._destroyed = true;
        window.clearTimeout(this._timer);
        document.removeEventListener('visibilitychange', this._onVisibility);
        [this.viewer, this.nextViewer].forEach((viewer) => viewer && viewer.destroy());
        this.viewer = this.nextViewer = null;
        View.prototype.destroy.apply(this, arguments);
    },

    /** Ask for the session and, where it has changed, for its image. */
    refresh: function () {
        if (this._destroyed || this._asking) {
            return;
        }
        window.clearTimeout(this._timer);
        this._asking = true;
        this._get('').then((session) => {
            this.session = session;
            this.failure = null;
            const known = this.metadata && this.metadata.stitchSession.revision;
            return session.revision === known || !session.counts.patches ? null : this._getImage();
        }).then(() => null, (response) => {
            this.failure = messageOf(response);
        }).then(() => {
            this._asking = false;
            this._showDetails();
            this._schedule();
            return null;
        });
    },

    _get: function (path) {
        return restRequest({ url: `stitch_session/${this.sessionId}${path}`, error: null });
    },

    _getImage: function () {
        return $.when(this._get('/tiles'), this._get('/coverage')).then(([metadata], [coverage]) => {
            if (this._destroyed) {
                return null;
            }
            const axes = frameAxes(metadata);
            const before = this.metadata ? frameAxes(this.metadata) : null;
            this.metadata = metadata;
            this.coverage = coverage;
            if (!_.isEqual(axes, before)) {
                this.$('.g-stitch-preview-axes').html(frames({ axes, places: this.places }));
                this._showPlaces();
            }
            this._showImage();
            return null;
        });
    },

    _schedule: function () {
        if (!this._destroyed && !document.hidden) {
            const wait = !this.session || isLive(this.session) ? LIVE_INTERVAL : IDLE_INTERVAL;
            this._timer = window.setTimeout(() => this.refresh(), wait);
        }
    },

    _showDetails: function () {
        if (this._destroyed) {
            return;
        }
        const session = this.session;
        const html = details({
            failure: this.failure,
            session: session && {
                name: session.name,
                state: session.state,
                folder: `#folder/${session.folderId}`,
                result: session.itemId ? `#item/${session.itemId}` : null,
                patches: patchesText(session),
                size: formatSize(session.counts.bytes),
                bounds: boundsText(session),
                coverage: coverageText(this.coverage),
                percent: session.state === 'finalizing' ? percentOf(session) : null,
                timeLeft: timeLeftText(session.progress.timeLeft),
                empty: !session.counts.patches
            },
            problems: Object.entries((this.metadata && this.metadata.stitchSession.problems) || {})
        });
        if (html !== this._shownDetails) {
            this.$('.g-stitch-preview-details').html(html);
            this._shownDetails = html;
        }
    },

    _showPlaces: function () {
        this.$('.g-stitch-preview-axis').each((_index, input) => {
            $(input).closest('label').find('.g-stitch-preview-place').text(input.value);
        });
    },

    /** Show the newest state. While one is loading the next waits, and the ones between are passed over. */
    _showImage: function () {
        const { metadata } = this;
        if (this._destroyed || !metadata || this.nextViewer) {
            this._waiting = Boolean(this.nextViewer);
            return;
        }
        this._waiting = false;
        const frame = frameAt(frameAxes(metadata), this.places);
        if (this.viewer && sameGeometry(this.viewer.shown, metadata)) {
            this.nextViewer = this.viewer;
            this.viewer.update(metadata, frame, () => this._shown(this.viewer));
            return;
        }
        const el = $('<div class="g-stitch-preview-map">').appendTo(this.$('.g-stitch-preview-image'));
        const viewer = createViewer({ el, parentView: this, sessionId: this.sessionId, metadata, frame });
        if (viewer === null) {
            this.failure = 'The viewer of large_image is not there.';
            return;
        }
        this.nextViewer = viewer;
        viewer.whenLoaded(() => this._shown(viewer));
    },

    /** Put a viewer that has loaded in the place of the one before, looking at the same place. */
    _shown: function (viewer) {
        if (this._destroyed) {
            return;
        }
        const before = this.viewer;
        this.nextViewer = null;
        if (before !== viewer) {
            if (before) {
                if (before.isMoved()) {
                    viewer.look(movedView(before.view(), before.shown, viewer.shown));
                }
                before.destroy();
                before.$el.remove();
            }
            this.viewer = viewer;
        }
        this.$('.g-stitch-preview-image').attr('data-revision', viewer.shown.stitchSession.revision);
        if (this._waiting) {
            this._showImage();
        }
    }
});

export default StitchPreviewView;
