/**
 * Which channels are shown, by their names and colours.
 *
 * @param {Object} props
 * @param {import('../lib/channels.js').Channel[]} props.channels
 * @param {function(Object[]): void} props.onChange
 */
function ChannelChoice({ channels, onChange }) {
    if (!channels.length) {
        return null;
    }
    return (
        <fieldset class="g-zarr-channel-choice">
            <legend>Channels</legend>
            {channels.map(({ name, color, isActive }, at) => (
                <label key={at} data-channel={name}>
                    <input
                        type="checkbox" checked={isActive}
                        onChange={({ currentTarget: { checked } }) => onChange(channels.map((channel, other) => (
                            other === at ? { ...channel, isActive: checked } : channel)))}
                    />
                    <span class="g-zarr-swatch" style={{ background: `#${color}` }} aria-hidden="true" />
                    {name}
                </label>
            ))}
        </fieldset>
    );
}

export { ChannelChoice };
