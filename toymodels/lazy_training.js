// The twin of lazy_training.py for two equally long inputs at an angle: how fast wide networks learn
// what the two have in common, and what tells them apart. Time in units of one over Theta(0).

/** Residuals common to both and between them of ReLU and erf networks; then the two half-times. */
function pair({ angle, layers }, t) {
  const c = [relu, erf].map((map) => correlation(map, (angle * Math.PI) / 180, Math.round(layers)));
  const decay = (rate) => t.map((time) => Math.exp(-rate * time));
  return [
    ...c.flatMap((x) => [decay(1 + x), decay(1 - x)]),
    ...c.map((x) => Math.LN2 / (1 - x)),
  ];
}

/** Theta(angle) / Theta(0) after hidden layers; kernel and tangent kernel of equal inputs beside. */
function correlation(map, angle, layers) {
  let q = 1, k = Math.cos(angle), own = 1, theta = k;
  for (let l = 0; l < layers; l += 1) {
    const [self, pairs] = [map(q, q), map(q, k)];
    [own, theta] = [self[0] + self[1] * own, pairs[0] + pairs[1] * theta];
    [q, k] = [self[0], pairs[0]];
  }
  return theta / own;
}

/** <phi phi> and <phi' phi'> of normal variables of variance q and covariance k; C_W = 2. */
function relu(q, k) {
  const across = Math.sqrt(Math.max(q * q - k * k, 0)), open = Math.atan2(across, -k) / Math.PI;
  return [k * open + across / Math.PI, open];
}

/** The same of erf, at C_W = 1. */
function erf(q, k) {
  const root = Math.sqrt((1 + 2 * q) ** 2 - (2 * k) ** 2);
  return [(2 / Math.PI) * Math.atan2(2 * k, root), 4 / Math.PI / root];
}
