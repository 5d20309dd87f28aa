// The twin of population_codes.py for figures that one moves: neurons on a ring with tuning
// max(exp(c (cos u - 1)) - threshold, 0) that learn a wave of unit power.

/** Error at n samples, and the power of the target beyond the first n modes, for whole n. */
function ringCode({ concentration, threshold, frequency, ridge, noise, angles }, n) {
  const size = amplitudes(concentration, threshold, angles), largest = Math.max(...size);
  const close = angles * Number.EPSILON * largest;
  const modes = [];
  size.forEach((root, m) => {
    const copies = m === 0 || 2 * m === angles ? 1 : 2;
    const seen = root > close;
    for (let c = 0; c < copies; c++)
      modes.push({ root: seen ? root : 0, power: m === frequency ? 1 / copies : 0 });
  });
  modes.sort((a, b) => b.root - a.root);
  share(modes, close);
  const lam = modes.map((mode) => mode.root ** 2), sum = (term) => modes.reduce((s, x, k) => s + term(k), 0);
  const delta = ridge * sum((k) => lam[k]);
  const error = n.map((samples) => {
    const kappa = balance(lam.filter((x) => x > 0), delta, samples);
    const lost = lam.map((x) => kappa / (x + kappa));
    const missed = sum((k) => lost[k] ** 2 * modes[k].power) + noise;
    return (samples * missed) / (samples - sum((k) => (1 - lost[k]) ** 2)) - noise;
  });
  let above = 0;
  const reached = modes.map((mode) => (above += mode.power));
  return [error, n.map((k) => 1 - reached[k - 1] / above)];
}

/** Modes of one eigenvalue share their power, in place. */
function share(modes, close) {
  let first = 0;
  for (let k = 1; k <= modes.length; k++) {
    const together =
      k < modes.length &&
      modes[k - 1].root - modes[k].root <= close &&
      (modes[k].root === 0) === (modes[k - 1].root === 0);
    if (together) continue;
    const group = modes.slice(first, k), mean = group.reduce((s, x) => s + x.power, 0) / group.length;
    for (const mode of group) mode.power = mean;
    first = k;
  }
}

/** |g_m| for m = 0 to half the angles, from sums over cosines: the curve is even. */
function amplitudes(c, threshold, angles) {
  const cosine = Array.from({ length: angles }, (_, i) => Math.cos((2 * Math.PI * i) / angles));
  const curve = cosine.map((x) => Math.max(Math.exp(c * (x - 1)) - threshold, 0));
  return Array.from({ length: Math.floor(angles / 2) + 1 }, (_, m) =>
    Math.abs(curve.reduce((sum, g, i) => sum + g * cosine[(m * i) % angles], 0)) / angles);
}

/** kappa with n = sum lam / (lam + kappa) + delta / kappa, by bisection of its logarithm. */
function balance(lam, delta, n) {
  let [low, high] = [Math.log(delta / n), Math.log((lam.reduce((s, x) => s + x, 0) + delta) / n)];
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2, kappa = Math.exp(middle);
    const spent = lam.reduce((s, x) => s + x / (x + kappa), 0) + delta / kappa;
    if (spent > n) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}
