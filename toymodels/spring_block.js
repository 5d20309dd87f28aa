// The twin of spring_block.py for figures that one moves: mean motion of a chain without inertia,
// with unit stiffness, pulled to 1 at time 0.

/** Separation D of layers 0 to L + 1 at the time asked for, at rest without noise, and after an
 *  infinite time with any; then the mean second difference of the first. */
function separations({ right, left, noise, time }, layer) {
  const blocks = layer.length - 2;
  const rate = (t, x) => forces(x).map((F) => slip(F - right, noise) - slip(-F - left, noise));
  const [x] = integrate(rate, new Array(blocks).fill(0), [time]);
  const moved = separation(x), load = (l) => moved[l] - moved[l + 1];
  return [
    moved,
    separation(resting(blocks, right)),
    separation(stationary(blocks, right, left)),
    (load(0) - load(blocks)) / blocks,
  ];
}

/** Second differences of the positions between the ends 0 and 1. */
function forces(x) {
  return x.map((at, l) => (x[l + 1] ?? 1) - 2 * at + (x[l - 1] ?? 0));
}

const separation = (x) => [0, ...x, 1].map((at) => 1 - at);

/** E (u + s zeta)_+ over a standard normal zeta; (u)_+ itself without noise. */
function slip(u, s) {
  if (s === 0) return Math.max(u, 0);
  const z = u / s;
  return (s * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI) + u * normalShare(z);
}

/** Share of a standard normal below z: a series near 0, a continued fraction in the tails. */
function normalShare(z) {
  const size = Math.abs(z), density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (size < 4) {
    let term = z, sum = z;
    for (let n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) sum += term *= (z * z) / n;
    return 0.5 + density * sum;
  }
  let fraction = size;
  for (let n = 40; n >= 1; n--) fraction = size + n / fraction;
  return z > 0 ? 1 - density / fraction : density / fraction;
}

/** Positions at rest without noise: the n blocks nearest to the pull slide, the others never move. */
function resting(blocks, right) {
  let n = 0;
  while (n < blocks && (n + 1) * (n + 2) * right <= 2) n++;
  return Array.from({ length: blocks }, (_, l) => {
    const j = Math.max(l + 1 - blocks + n, 0);
    return j / (n + 1) - (right / 2) * j * (n + 1 - j);
  });
}

/** Mean positions after a long time with any noise: every block feels the force (right - left) / 2. */
function stationary(blocks, right, left) {
  const springs = blocks + 1;
  return Array.from({ length: blocks }, (_, l) =>
    (l + 1) / springs - ((right - left) / 4) * (l + 1) * (springs - l - 1));
}
