// The twin of invariant_capacity.py for figures that one moves: the fraction of labellings that a
// readout in N0 dimensions can give to objects of one view, and of two views at an angle.

/** Fractions for one view and for two, and where half of the labellings of pairs can be given. */
function twoViews({ dimension, angle }, patterns) {
  const N0 = Math.round(dimension), share = angle / 180, most = Math.max(...patterns);
  const point = fractions([0, 0.5, 0.5], N0, most), pair = fractions([share / 2, 0.5, (1 - share) / 2], N0, most);
  return [patterns.map((P) => point[P]), patterns.map((P) => pair[P]), N0 / (0.5 + share)];
}

/** By Crofton's formula, for P = 1 to most cones with the intrinsic volumes of one. */
function fractions(cone, N0, most) {
  const found = [1];
  let volumes = [1];
  for (let P = 1; P <= most; P++) {
    const next = new Array(2 * P + 1).fill(0);
    volumes.forEach((volume, k) => cone.forEach((part, j) => { next[k + j] += volume * part; }));
    volumes = next;
    let sum = 0;
    for (let k = 2 * P + 1 - N0; k <= 2 * P; k += 2) sum += volumes[k] ?? 0;
    found.push(N0 < 2 * P ? 2 * sum : 1);
  }
  return found;
}
