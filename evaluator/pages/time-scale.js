// Where buckets stand along a chart: by time. Months, and days on which clocks are set, are not equally long, nor wide.
// A scale is {times, count}: where the buckets begin, and the last one ends; null where all are equally long.

/** Where a bucket begins, as a share of the width; `count` for the end of the last. */
export function begin({times, count}, index) {
  return times ? (times[index] - times[0]) / (times[count] - times[0]) : index / count;
}

/** The middle of a bucket, as a share of the width. */
export function middle(scale, index) {
  return (begin(scale, index) + begin(scale, index + 1)) / 2;
}

/** The bucket that holds a place, x of so many; `count` where that is the end. */
export function holding({times, count}, x, width) {
  if (!times) return Math.floor((x * count) / width);
  const time = times[0] + (x / width) * (times[count] - times[0]);
  let low = -1, high = count;
  while (high - low > 1) {
    const half = (low + high) >> 1;
    if (times[half] <= time) low = half;
    else high = half;
  }
  return x < width ? low : count;
}
