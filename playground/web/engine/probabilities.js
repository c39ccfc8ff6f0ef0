/**
 * Compute class probabilities from logits; a single logit is that of the second of two classes.
 * @param {Float32Array} logits
 * @param {Float64Array} probabilities one per class
 * @returns {void}
 */
export function computeProbabilities(logits, probabilities) {
  if (logits.length === 1) {
    probabilities[1] = 1 / (1 + Math.exp(-logits[0]))
    probabilities[0] = 1 / (1 + Math.exp(logits[0]))
    return
  }
  let largest = Number.NEGATIVE_INFINITY
  for (const logit of logits) largest = Math.max(largest, logit)
  let total = 0
  for (let index = 0; index < logits.length; index++) {
    probabilities[index] = Math.exp(logits[index] - largest)
    total += probabilities[index]
  }
  for (let index = 0; index < logits.length; index++) probabilities[index] /= total
}
