// Colours of the canvases, for light and dark. Series: after Okabe and Ito, told apart by the colour-blind, and
// darkened (or lightened) until they stand out from the paper by 3 to 1.

const LIGHT = {
  series: ["#0072b2", "#d55e00", "#00855f", "#b0528a", "#a06a00", "#5a55b5", "#5b6770"],
  up: ["#c4e6e2", "#7fc6bf", "#2f9a92", "#0b5f5b"],
  down: ["#fbd8bd", "#f2a56c", "#d55e00", "#8a3c00"],
  none: "#eef2f4", heat: ["#a9dccb", "#41a3a8", "#1c5f93", "#191e52"], cold: ["#f7c9a3", "#e0803c", "#a2430f", "#4f1d05"],
  ink: "#1b2126", quiet: "#5b6770", line: "#e3e8eb", strong: "#b9c2c8", paper: "#ffffff",
};
const DARK = {
  series: ["#56b4e9", "#ff8f45", "#2bc79a", "#e79cc4", "#f0b429", "#aeb1ff", "#b6c2cb"],
  up: ["#16413e", "#1d716b", "#30a89f", "#9aeae2"],
  down: ["#4b2b14", "#8c4b18", "#da742c", "#ffc092"],
  none: "#1d2327", heat: ["#1f4568", "#23808f", "#5fc49a", "#f4f6b8"], cold: ["#54290f", "#98511c", "#dd8b45", "#ffe2bd"],
  ink: "#e8ecef", quiet: "#9aa7b0", line: "#262d33", strong: "#45505a", paper: "#14181b",
};
const DASHES = [[], [7, 3], [2, 3]];
const NEXT = 0.45; // so much nearer to the ink are the colours of the second seven: further from the paper
const SHADES = 24; // of a heat map
const dark = matchMedia("(prefers-color-scheme: dark)");

/** The colours of the system's present theme. */
export function theme() {
  return dark.matches ? DARK : LIGHT;
}

/** Call a function whenever the theme changes; returns what ends that. */
export function onTheme(work) {
  dark.addEventListener("change", work);
  return () => dark.removeEventListener("change", work);
}

/** The colours of a heat map, from 0 to the strongest: above 0 (up) and below (down). They grow evenly darker (in the
 * dark lighter), so that the colour-blind and a printer without colours tell them apart. */
export function scale() {
  const {none, heat, cold} = theme();
  return {up: blend([none, ...heat]), down: blend([none, ...cold])};
}

function blend(stops) {
  return Array.from({length: SHADES}, (_, i) => {
    const place = (i / (SHADES - 1)) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place));
    return mix(stops[low], stops[low + 1], place - low);
  });
}

function mix(from, to, share) {
  const part = (text, j) => parseInt(text.slice(1 + 2 * j, 3 + 2 * j), 16);
  const mixed = (j) => Math.round(part(from, j) + (part(to, j) - part(from, j)) * share);
  return `rgb(${mixed(0)} ${mixed(1)} ${mixed(2)})`;
}

/** The colour of the series with a number; below 0 it stands back, grey. Fourteen are different. */
export function colour(number) {
  const {series, quiet, ink} = theme();
  if (number < 0) return quiet;
  const one = series[number % series.length];
  return Math.floor(number / series.length) % 2 ? mix(one, ink, NEXT) : one;
}

/** The same for a legend, as a background that shows the dashes of the line too. */
export function marked(number) {
  const [drawn, left] = dashes(number);
  const one = colour(number);
  return drawn ? `repeating-linear-gradient(90deg, ${one} 0 ${drawn}px, transparent ${drawn}px ${drawn + left}px)` : one;
}

/** The dashes of its line: each seven colours are told apart by them, too. */
export function dashes(number) {
  return DASHES[Math.floor(Math.max(0, number) / LIGHT.series.length) % DASHES.length];
}
