// A sparkline: the counts of some minutes as bars, scaled to the highest of them. What is not known is a gap.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 40;

/** An element that draws counts; set(values, label) draws others. */
export function sparkline() {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("role", "img");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.append(path);
  return {element: svg, set: (values, label) => draw(svg, path, values, label)};
}

function draw(svg, path, values, label) {
  const most = Math.max(1, ...values.filter((value) => value !== null));
  const bars = values.map((value, index) => {
    if (!value) return "";
    const height = Math.max(1, (value / most) * HEIGHT);
    return `M${index + 0.1} ${HEIGHT}v${-height}h.8v${height}z`;
  });
  svg.setAttribute("viewBox", `0 0 ${values.length} ${HEIGHT}`);
  svg.setAttribute("aria-label", label);
  path.setAttribute("d", bars.join(""));
}
