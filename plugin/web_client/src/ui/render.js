import { h, render } from 'preact';

/**
 * A function that shows a component in an element and returns what removes it.
 *
 * @param {function} Component
 */
function shown(Component) {
    return (element, props) => {
        render(h(Component, props), element);
        return () => render(null, element);
    };
}

export { shown };
