// A canvas as sharp as the screen, and the axes around a plot.
import {theme} from "./colours.js";
import {edgeTicks, number, timeTicks, valueTicks} from "./format.js";
import {begin, middle} from "./time-scale.js";

export const FONT = "12px system-ui, sans-serif";
const LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 24;

/** Give a canvas a size in CSS pixels; returns its context, scaled, and cleared. */
export function fit(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(w / width, 0, 0, h / height, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Where the plot of a set lies in a canvas, and which value is how high; ``each``: how wide a bucket is, about. */
export function frame(set, width, height, [low, high]) {
  const plot = {left: LEFT, top: TOP, width: Math.max(1, width - LEFT - RIGHT), height: height - TOP - BOTTOM};
  const each = plot.width / set.count;
  return {
    ...plot, each, low, high, start: set.start, stop: set.stop, step: set.step, edge: set.edge, times: set.times, count: set.count,
    x: (index) => plot.left + middle(set, index) * plot.width,
    from: (index) => plot.left + begin(set, index) * plot.width,
    y: (value) => plot.top + plot.height * (1 - (value - low) / (high - low)),
  };
}

/** The least and greatest value to draw, with some room; an axis begins at 0 unless that would hide the form. */
export function extent(low, high, withZero) {
  if (!(low <= high)) return [0, 1];
  if (withZero || low > 0 && low < 0.7 * high) low = Math.min(0, low);
  if (withZero || high < 0 && high > 0.7 * low) high = Math.max(0, high);
  if (low === high) [low, high] = low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
  const room = 0.05 * (high - low); // nothing touches the edge
  return [low === 0 ? 0 : low - room, high === 0 ? 0 : high + room];
}

/** Draw both axes and their lines; the times below only where they are wanted. */
export function axes(context, at, zone, hasTimes = true) {
  const colours = theme();
  context.font = FONT;
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of valueTicks(at.low, at.high, Math.max(2, at.height / 55))) {
    const y = Math.round(at.y(value)) + 0.5;
    rule(context, at.left, y, at.left + at.width, y, Math.abs(value) < 1e-12 ? colours.strong : colours.line);
    context.fillStyle = colours.quiet;
    context.fillText(number(value), at.left - 8, y);
  }
  timeAxis(context, at, zone, at.top, at.top + at.height, hasTimes);
}

/** Draw the axis of time below a plot. */
export function timeAxis(context, at, zone, top, bottom, hasTimes = true) {
  const colours = theme();
  context.font = FONT;
  context.textAlign = "center";
  context.textBaseline = "top";
  const most = Math.max(2, at.width / 90);
  const share = (time) => (time - at.start) / (at.stop - at.start);
  const ticks = at.times ? edgeTicks(at.times, at.count, at.step, most, zone)
    : timeTicks(at.start, at.stop, most, zone).map(([time, ...rest]) => [share(time), ...rest]);
  for (const [place, text, isDay] of ticks) {
    const x = Math.round(at.left + place * at.width) + 0.5;
    rule(context, x, top, x, bottom, isDay ? colours.strong : colours.line);
    context.fillStyle = isDay ? colours.ink : colours.quiet;
    if (hasTimes && x > at.left + 14 && x < at.left + at.width - 14) context.fillText(text, x, bottom + 7);
  }
}

function rule(context, x1, y1, x2, y2, style) {
  context.strokeStyle = style;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
