// The twin of silent_alignment.py for figures that one moves: two wide linear layers on two inputs.

/** Radius of the ball of the kernel's norm against the direction (degrees), relative to its mean
 *  (geometric), when the loss is at 90 %, 50 % and 1 % of its start; then the cosines of the first
 *  two kernels with the third. */
function balls({ scale, direction, ratio }, degrees) {
  const turn = (direction * Math.PI) / 180, target = [Math.cos(turn), Math.sin(turn)];
  const power = [Math.sqrt(ratio), 1 / Math.sqrt(ratio)], round = 2 * scale * scale;
  const clock = [0.9, 0.5, 0.01].map((share) => -Math.log(share));
  const states = integrate((_, y) => paced(y, target, power), [0, 0, round, 0, round], clock,
    { rtol: 1e-10, atol: 1e-15 });
  const kernels = states.map((y) => y.slice(2)), last = kernels[2];
  const curves = kernels.map((m) => degrees.map((angle) => radius(m, (angle * Math.PI) / 180)));
  return [...curves, alike(kernels[0], last), alike(kernels[1], last)];
}

/** d/ds of (beta, M) with the clock s = -log loss: the flow over the rate at which the loss falls. */
function paced([b, d, m, k, n], target, power) {
  const left = [target[0] - b, target[1] - d], g = [power[0] * left[0], power[1] * left[1]];
  const move = [m * g[0] + k * g[1], k * g[0] + n * g[1]], both = 2 * (b * g[0] + d * g[1]);
  const grow = [both + 2 * b * g[0], b * g[1] + d * g[0], both + 2 * d * g[1]];
  const fall = (2 * (g[0] * move[0] + g[1] * move[1])) / (left[0] * g[0] + left[1] * g[1]);
  return [...move, ...grow].map((speed) => speed / fall);
}

/** Of the ellipse z.M^-1 z = 1, in a direction, over the root of the product of its half-axes. */
function radius([m, k, n], angle) {
  const area = m * n - k * k, across = Math.cos(angle), up = Math.sin(angle);
  return Math.sqrt(Math.sqrt(area) / (n * across ** 2 - 2 * k * across * up + m * up ** 2));
}

/** Cosine of two kernels as vectors. */
function alike([m, k, n], [p, q, r]) {
  return (m * p + 2 * k * q + n * r) / Math.sqrt((m * m + 2 * k * k + n * n) * (p * p + 2 * q * q + r * r));
}
