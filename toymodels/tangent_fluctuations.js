// The twin of tangent_fluctuations.py for the figure that one moves: one input, deep linear networks.

/** Kernel over its start and unseen answers at every pace; the kernel at pace 1; the pace that keeps it. */
function learned({ layers, width, label }, pace) {
  const L = Math.round(layers), n = Math.round(width), power = 1 + label ** 2;
  const cut = (p) => p / (2 - p);
  const kernel = (p) => 1 + ((L * L - 1) / (3 * n * L)) * (power - 2 - (power / 2) * cut(p));
  const unseen = (p) => 1 + ((L - 1) / n) * (power / 2 - 1 - ((power * (L + 1)) / (6 * L)) * cut(p));
  const kept = Math.max(0, (2 * (power - 2)) / power);
  return [pace.map(kernel), pace.map(unseen), kernel(1), (2 * kept) / (1 + kept)];
}
