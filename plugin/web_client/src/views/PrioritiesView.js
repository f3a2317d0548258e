import { itemIdFrom, messageOf, settingFrom } from '../priorities';
import template from '../templates/priorities.pug';
import ExplanationView from './ExplanationView';

const { $ } = girder;
const { confirm } = girder.dialog;
const { restRequest } = girder.rest;
const { View } = girder.views;
const { PluginConfigBreadcrumbWidget } = girder.views.widgets;

const KEY = 'zarr.source_priorities';

/** Admin, Plugins: the priority of each tile source by file extension. */
const PrioritiesView = View.extend({
    events: {
        'submit .g-zarr-priorities-form': function (event) {
            event.preventDefault();
            this._save();
        },
        'click .g-zarr-priorities-reset': '_reset',
        'click .g-zarr-add-extension': '_addExtension',
        'keydown .g-zarr-new-extension': function (event) {
            if (event.key === 'Enter') {
                this._addExtension(event);
            }
        },
        'change .g-zarr-override, .g-zarr-source-off': '_onChange',
        'input .g-zarr-filter': '_filter',
        'submit .g-zarr-explain-form': function (event) {
            event.preventDefault();
            this._explain();
        }
    },

    initialize: function () {
        this.rows = null;
        this._load();
    },

    _load: function () {
        return restRequest({ url: 'zarr/source', error: null }).done((answer) => {
            this.answer = answer;
            this.render();
        }).fail((response) => {
            this.answer = null;
            this.render();
            this._fail(messageOf(response));
        });
    },

    render: function () {
        const { sources = [], priorities = [], fixedByEnvironment = false } = this.answer || {};
        this.$el.html(template({ sources, priorities, fixedByEnvironment }));
        new PluginConfigBreadcrumbWidget({
            pluginName: 'Zarr: priorities of tile sources',
            el: this.$('.g-config-breadcrumb-container'),
            parentView: this
        }).render();
        this.explanation = new ExplanationView({
            el: this.$('.g-zarr-explanation-container'),
            parentView: this
        });
        this._onChange();
        return this;
    },

    /** The setting as the form has it. */
    value: function () {
        const rows = this.$('.g-zarr-override').toArray().map((select) => ({
            source: $(select).attr('data-source'),
            extension: $(select).attr('data-extension'),
            priority: $(select).val()
        }));
        const off = this.$('.g-zarr-source-off:checked').toArray().map((box) => $(box).attr('data-source'));
        return settingFrom(rows, off);
    },

    _onChange: function () {
        this.$('.g-zarr-source-off').each((_index, box) => {
            this._bodyOf($(box).attr('data-source')).toggleClass('g-zarr-off', box.checked)
                .find('.g-zarr-override').prop('disabled', box.checked);
        });
        this.$('.g-zarr-override').each((_index, select) => {
            $(select).closest('tr').toggleClass('info', $(select).val() !== '');
        });
    },

    _bodyOf: function (source) {
        return this.$('tbody').filter((_index, body) => $(body).attr('data-source') === source);
    },

    _filter: function () {
        const words = this.$('.g-zarr-filter').val().trim().toLowerCase().replace(/^\./, '');
        this.$('.g-zarr-priorities tbody').each((_index, body) => {
            const name = $(body).attr('data-source').toLowerCase();
            const rows = $(body).find('tr[data-extension]');
            const whole = name.includes(words);
            let any = whole;
            rows.each((_row, row) => {
                const shown = whole || $(row).attr('data-extension').includes(words);
                any = any || shown;
                $(row).toggle(shown);
            });
            $(body).toggle(any);
        });
    },

    /** Add a row for an extension that the source does not list itself. The server checks it when it is saved. */
    _addExtension: function (event) {
        event.preventDefault();
        const body = $(event.currentTarget).closest('tbody');
        const input = body.find('.g-zarr-new-extension');
        const extension = input.val().trim().toLowerCase().replace(/^\./, '');
        if (!extension) {
            return;
        }
        let row = body.find('tr[data-extension]').filter((_index, tr) => $(tr).attr('data-extension') === extension);
        if (!row.length) {
            row = body.find('tr[data-extension]').first().clone();
            if (!row.length) {
                return;
            }
            row.attr('data-extension', extension);
            row.find('th').text(`.${extension}`);
            row.find('td.g-zarr-default, td.g-zarr-effective').text('\u2013');
            row.find('.g-zarr-override').attr({
                'data-extension': extension,
                'aria-label': `Priority of ${body.attr('data-source')} for .${extension}`
            }).val('');
            body.find('.g-zarr-add-row').before(row);
        }
        input.val('');
        row.show().find('.g-zarr-override').trigger('focus');
    },

    _save: function () {
        this._store({ list: JSON.stringify([{ key: KEY, value: this.value() }]) }, 'Priorities saved.');
    },

    _reset: function () {
        confirm({
            text: 'Give every tile source its own priorities back?',
            yesText: 'Reset',
            confirmCallback: () => this._store(
                { list: JSON.stringify([{ key: KEY, value: null }]) }, 'Priorities reset.')
        });
    },

    _store: function (data, done) {
        this._fail(null);
        return restRequest({ method: 'PUT', url: 'system/setting', data, error: null }).done(() => {
            girder.events.trigger('g:alert', { icon: 'ok', text: done, type: 'success', timeout: 4000 });
            this._load();
        }).fail((response) => this._fail(messageOf(response)));
    },

    _fail: function (message) {
        this.$('.g-zarr-priorities-error').text(message || '').toggleClass('hide', !message);
    },

    _explain: function () {
        const id = itemIdFrom(this.$('.g-zarr-explain-item').val());
        if (id) {
            this.explanation.show(id);
        } else {
            this.explanation.fail('Expected the id of an item (24 digits 0-9, a-f) or the address of its page.');
        }
    }
});

export default PrioritiesView;
