/** The one way to the server: everything that a page asks for goes through `request`. */

const { getCurrentToken } = girder.auth;
const { getApiRoot } = girder.rest;

/** A refusal. `status` is 0 where no answer came; `message` is the server's sentence where it has one. */
class ApiError extends Error {
    /**
     * @param {number} status
     * @param {string} message
     */
    constructor(status, message) {
        super(message);
        this.name = 'ApiError';
        this.status = status;
    }
}

/**
 * The address of a route with its query; empty values are left out.
 *
 * @param {string} path below the API root, without a leading slash.
 * @param {Object<string, *>} [query]
 */
function addressOf(path, query = {}) {
    const parameters = new URLSearchParams();
    Object.entries(query).forEach(([name, value]) => {
        if (value !== undefined && value !== null && value !== '') {
            parameters.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
        }
    });
    const text = parameters.toString();
    return `${getApiRoot()}/${path}${text ? `?${text}` : ''}`;
}

/** @returns {Object<string, string>} the headers that sign a request in. */
function signedIn() {
    const token = getCurrentToken() || window.localStorage.getItem('girderToken');
    return token ? { 'Girder-Token': token } : {};
}

/**
 * The sentence of a refusal.
 *
 * @param {number} status
 * @param {string} text the body of the answer.
 */
function sentenceOf(status, text) {
    try {
        const { message } = JSON.parse(text);
        if (typeof message === 'string' && message) {
            return message;
        }
    } catch { /* not JSON: a proxy, or the web server itself */ }
    return status ? `The server answered with status ${status}.` : 'The server does not answer.';
}

/**
 * Ask the server.
 *
 * @param {string} method
 * @param {string} path below the API root.
 * @param {Object} [options]
 * @param {Object<string, *>} [options.query]
 * @param {*} [options.json] a body.
 * @param {BodyInit} [options.body] a body that is sent as it is.
 * @param {Object<string, string>} [options.headers]
 * @param {AbortSignal} [options.signal]
 * @returns {Promise<{status: number, data: *, headers: Headers}>} `data` is null for 304.
 * @throws {ApiError} the server refuses or does not answer.
 */
async function request(method, path, { query, json, body, headers = {}, signal } = {}) {
    const all = { ...signedIn(), ...headers };
    if (json !== undefined) {
        all['Content-Type'] = 'application/json';
    }
    // Girder's web server refuses a POST without a body and a length.
    const sent = json !== undefined ? JSON.stringify(json) : body ?? (method === 'GET' ? undefined : '');
    let answer;
    let text;
    try {
        answer = await fetch(addressOf(path, query), { method, headers: all, body: sent, signal });
        text = await answer.text();
    } catch (error) {
        if (error.name === 'AbortError') {
            throw error;
        }
        throw new ApiError(0, sentenceOf(0, ''));
    }
    if (answer.status === 304) {
        return { status: 304, data: null, headers: answer.headers };
    }
    if (!answer.ok) {
        throw new ApiError(answer.status, sentenceOf(answer.status, text));
    }
    return { status: answer.status, data: text ? JSON.parse(text) : null, headers: answer.headers };
}

/** The data of a GET. */
async function get(path, query, options = {}) {
    return (await request('GET', path, { query, ...options })).data;
}

/**
 * What a GET answers, as it is.
 *
 * @param {string} path
 * @param {Object<string, *>} [query]
 * @returns {Promise<Blob>}
 * @throws {ApiError}
 */
async function getBlob(path, query) {
    let answer;
    try {
        answer = await fetch(addressOf(path, query), { headers: signedIn() });
    } catch {
        throw new ApiError(0, sentenceOf(0, ''));
    }
    if (!answer.ok) {
        throw new ApiError(answer.status, sentenceOf(answer.status, await answer.text()));
    }
    return answer.blob();
}

/**
 * Send a body and be told how much of it has gone.
 *
 * @param {string} method
 * @param {string} path
 * @param {Object} options as of `request`, and onProgress(bytes).
 * @returns {Promise<*>} the data.
 * @throws {ApiError}
 */
function send(method, path, { query, body, headers = {}, signal, onProgress }) {
    return new Promise((resolve, reject) => {
        const xhr = new XMLHttpRequest();
        const abort = () => xhr.abort();
        xhr.open(method, addressOf(path, query));
        Object.entries({ ...signedIn(), ...headers }).forEach(([name, value]) => xhr.setRequestHeader(name, value));
        xhr.upload.onprogress = (event) => onProgress && onProgress(event.loaded);
        xhr.onabort = () => reject(new DOMException('Stopped.', 'AbortError'));
        xhr.onerror = () => reject(new ApiError(0, sentenceOf(0, '')));
        xhr.onload = () => {
            if (xhr.status >= 200 && xhr.status < 300) {
                resolve(JSON.parse(xhr.responseText));
            } else {
                reject(new ApiError(xhr.status, sentenceOf(xhr.status, xhr.responseText)));
            }
        };
        xhr.onloadend = () => signal && signal.removeEventListener('abort', abort);
        if (signal) {
            signal.addEventListener('abort', abort);
        }
        xhr.send(body);
    });
}

export { ApiError, addressOf, get, getBlob, request, send, signedIn };
