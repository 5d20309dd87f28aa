// The twin of kernel_alignment.py for figures that one moves: one sample with the label 1.

/** Feature psi, the root of the kernel, against the error; then the times of half the label. */
function phase({ rate, start }, error) {
  const end = start + rate, gain = end * end - start * start;
  const half = Math.sqrt(start * start + gain / 4); // kernel of the linear network at half the label
  return [
    error.map((d) => Math.sqrt(start + rate * (1 - d * d))),
    error.map((d) => Math.sqrt(Math.hypot(start, Math.sqrt(gain) * (1 - d)))),
    error.map(() => Math.sqrt(start)),
    Math.log(4 * (1 + (0.75 * rate) / start)) / (2 * end),
    Math.log((2 * end * half + end * end + start * start) / (start * (end + start))) / end,
    Math.log(2) / start,
  ];
}
