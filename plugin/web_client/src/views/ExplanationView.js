import { messageOf } from '../priorities';
import template from '../templates/explanation.pug';

const { restRequest } = girder.rest;
const { View } = girder.views;

/** Which tile source opens an item, and what each of them says about it. */
const ExplanationView = View.extend({
    show: function (itemId) {
        this.itemId = itemId;
        this._render({ waiting: true });
        return restRequest({ url: `zarr/item/${itemId}/source`, error: null }).done((answer) => {
            if (this.itemId === itemId) {
                this._render({ answer });
            }
        }).fail((response) => {
            if (this.itemId === itemId) {
                this.fail(messageOf(response));
            }
        });
    },

    /** Show a sentence instead of an answer. */
    fail: function (error) {
        this._render({ error });
        return this;
    },

    _render: function (state) {
        this.$el.html(template({ waiting: false, answer: null, error: null, ...state }));
    }
});

export default ExplanationView;
