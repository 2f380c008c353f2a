// A row of a horizon chart, pixel by pixel: values folded into bands of ever stronger colour, what is below 0 in another
// hue and hanging from above, gaps hatched; and below it a strip of how much it is more or less than some time before.
import {theme} from "./colours.js";
import {holding} from "./time-scale.js";

const BANDS = 4;
const STRIP = 8; // CSS pixels of the comparison
const HATCH = 6; // CSS pixels from one line of a gap to the next
const palettes = new Map(); // by theme, as pixels have colours
let scratch = null; // one picture for all rows of a size: they are drawn a hundred at a time

/** Draw a row into a canvas at (0, top), {width, height, ratio} in the canvas's own pixels; values and earlier (or null):
 * one for each bucket of a scale of time. Of buckets that share a pixel the greatest is drawn. */
export function drawBands(context, top, {width, height, ratio = 1}, values, scale, earlier = null) {
  if (scratch?.width !== width || scratch?.height !== height) scratch = new ImageData(width, height);
  const pixels = new Uint32Array(scratch.data.buffer);
  const places = columns(values, scale, width);
  const row = {pixels, width, ratio, palette: palette(), greatest: places.reduce((most, i) => Math.max(most, Math.abs(values[i]) || 0), 0)};
  const bottom = height - (earlier ? Math.round(STRIP * ratio) : 0);
  for (let x = 0; x < width; x++) {
    const i = places[x];
    fold(row, x, bottom, values[i]);
    if (earlier) compare(row, x, bottom, height, values[i] - earlier[i]);
  }
  context.putImageData(scratch, 0, top);
}

/** The bucket of each column of pixels. */
function columns(values, scale, width) {
  const places = new Uint32Array(width);
  for (let x = 0; x < width; x++) {
    let found = holding(scale, x, width);
    const end = holding(scale, x + 1, width);
    for (let i = found + 1; i < end; i++) if (!(Math.abs(values[i]) <= Math.abs(values[found]))) found = Number.isNaN(values[i]) ? found : i;
    places[x] = found;
  }
  return places;
}

function fold({pixels, width, ratio, palette, greatest}, x, height, value) {
  if (Number.isNaN(value)) return hatch(pixels, x, width, 0, height, ratio, palette.gap);
  const bands = value < 0 ? palette.down : palette.up;
  const size = greatest ? Math.min(BANDS, (Math.abs(value) / greatest) * BANDS) : 0;
  const band = Math.min(BANDS - 1, Math.floor(size));
  const part = Math.round((size - band) * height);
  const [outer, inner] = [band > 0 ? bands[band - 1] : 0, bands[band]];
  if (value < 0) {
    column(pixels, x, width, 0, part, inner);
    column(pixels, x, width, part, height, outer);
  } else {
    column(pixels, x, width, 0, height - part, outer);
    column(pixels, x, width, height - part, height, inner);
  }
}

/** A difference, by the square root of its share in the greatest value: small ones are to be seen, too. */
function compare({pixels, width, ratio, palette, greatest}, x, from, to, difference) {
  const start = Math.min(to, from + Math.ceil(ratio));
  column(pixels, x, width, from, start, 0);
  if (Number.isNaN(difference)) return hatch(pixels, x, width, start, to, ratio, palette.gap);
  const share = greatest ? Math.sqrt(Math.min(1, Math.abs(difference) / greatest)) : 0;
  const shade = Math.ceil(share * BANDS) - 1;
  column(pixels, x, width, start, to, shade < 0 ? 0 : (difference < 0 ? palette.down : palette.up)[shade]);
}

function column(pixels, x, width, from, to, colour) {
  for (let y = from, i = from * width + x; y < to; y++, i += width) pixels[i] = colour;
}

function hatch(pixels, x, width, from, to, ratio, colour) {
  const [every, wide] = [Math.round(HATCH * ratio), Math.max(1, Math.round(ratio))];
  for (let y = from, i = from * width + x; y < to; y++, i += width) pixels[i] = (x + y) % every < wide ? colour : 0;
}

function palette() {
  const colours = theme();
  if (!palettes.has(colours)) palettes.set(colours, {up: colours.up.map(pixel), down: colours.down.map(pixel), gap: pixel(colours.strong)});
  return palettes.get(colours);
}

/** A colour as a pixel has it: its bytes are red, green, blue and opacity, in the order of memory. */
function pixel(hex) {
  const [red, green, blue] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
}
