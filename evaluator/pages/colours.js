// Colours of the canvases, for light and dark. Series: after Okabe and Ito, told apart by the colour-blind, and
// darkened (or lightened) until they stand out from the paper by 3 to 1.

const LIGHT = {
  series: ["#0072b2", "#d55e00", "#00855f", "#b0528a", "#a06a00", "#5a55b5", "#5b6770"],
  up: ["#c4e6e2", "#7fc6bf", "#2f9a92", "#0b5f5b"],
  down: ["#fbd8bd", "#f2a56c", "#d55e00", "#8a3c00"],
  ink: "#1b2126", quiet: "#5b6770", line: "#e3e8eb", strong: "#b9c2c8", paper: "#ffffff",
};
const DARK = {
  series: ["#56b4e9", "#ff8f45", "#2bc79a", "#e79cc4", "#f0b429", "#aeb1ff", "#b6c2cb"],
  up: ["#16413e", "#1d716b", "#30a89f", "#9aeae2"],
  down: ["#4b2b14", "#8c4b18", "#da742c", "#ffc092"],
  ink: "#e8ecef", quiet: "#9aa7b0", line: "#262d33", strong: "#45505a", paper: "#14181b",
};
const DASHES = [[], [7, 3], [2, 3]];
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

/** The colour of the series with a number. */
export function colour(number) {
  const {series} = theme();
  return series[number % series.length];
}

/** The dashes of its line: series beyond the colours are told apart by them. */
export function dashes(number) {
  return DASHES[Math.floor(number / LIGHT.series.length) % DASHES.length];
}
