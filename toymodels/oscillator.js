// The twin of oscillator.py for figures that one moves: heavy-ball descent from rest at x(0) = 1.

/** Displacements of a slow and a stiff mode, and of the slow one at its critical momentum. */
function twoModes({ step, momentum, curvature: [slow, stiff] }, k) {
  const critical = (1 - Math.sqrt(step * slow)) ** 2;
  return [
    displacement(step * slow, momentum, k),
    displacement(step * stiff, momentum, k),
    displacement(step * slow, critical, k),
    rate(step * slow, momentum),
    rate(step * stiff, momentum),
    critical,
  ];
}

/** Displacement of a mode that a force of unit amplitude over curvature drives from rest, and the
 *  steady answer; amplitude and lag of the latter. */
function driven({ frequency, momentum, curvature }, k) {
  const hc = curvature, b = momentum, { tau } = roots(hc, b); // the step is 1
  const re = (1 + b) * Math.cos(frequency) - 2 * tau, im = (1 - b) * Math.sin(frequency);
  const amplitude = hc / Math.hypot(re, im), lag = Math.atan2(im, re);
  const steady = (n) => amplitude * Math.cos(frequency * n - lag);
  const free = (n) => -steady(0) * impulse(hc, b, n + 1) + b * steady(-1) * impulse(hc, b, n);
  return [k.map((n) => free(n) + steady(n)), k.map(steady), amplitude, lag];
}

/** Closed form of v(k+1) = b v(k) - hc x(k), x(k+1) = x(k) + v(k+1) at the step numbers k. */
function displacement(hc, b, k) {
  return k.map((n) => impulse(hc, b, n + 1) - b * impulse(hc, b, n));
}

/** Displacement k steps after a unit kick, (z1^k - z2^k) / (z1 - z2). */
function impulse(hc, b, k) {
  if (k === 0) return 0;
  const { tau, D } = roots(hc, b);
  if (D > 0) {
    const theta = Math.atan2(Math.sqrt(D), tau);
    return (b ** ((k - 1) / 2) * Math.sin(k * theta)) / Math.sin(theta);
  }
  const large = largerRoot(tau, D), ratio = b / large ** 2; // of the two roots, at most 1
  const geometric = ratio < 1 ? Math.expm1(k * Math.log(ratio)) / Math.expm1(Math.log(ratio)) : k;
  return large ** (k - 1) * geometric;
}

/** Factor by which a mode shrinks per step in the long run. */
function rate(hc, b) {
  const { tau, D } = roots(hc, b);
  return D > 0 ? Math.sqrt(b) : Math.abs(largerRoot(tau, D));
}

/** z^2 - 2 tau z + b = 0, and D = b - tau^2 as a product, which keeps its digits where roots merge. */
function roots(hc, b) {
  const root = Math.sqrt(b), lower = (1 - root) ** 2, upper = (1 + root) ** 2;
  return { tau: (1 + b - hc) / 2, D: ((hc - lower) * (upper - hc)) / 4 };
}

function largerRoot(tau, D) {
  return tau + (tau < 0 ? -1 : 1) * Math.sqrt(Math.max(-D, 0));
}
