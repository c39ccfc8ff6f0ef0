const HIGH_CONFIDENCE = 0.9
const LOW_CONFIDENCE = 0.25
const CLOSE_MARGIN = 0.2
const MIN_NAMED_PROBABILITY = 0.005
const MAX_FEW_CLASSES = 10

/**
 * Format a probability as a whole percentage.
 * @param {number} probability
 * @returns {string}
 */
export function formatPercent(probability) {
  return `${(100 * probability).toFixed(0)}%`
}

/**
 * Find the indices of the two largest values.
 * @param {ArrayLike<number>} values at least two
 * @returns {[first: number, second: number]}
 */
export function findTopTwo(values) {
  let first = 0
  let second = -1
  for (let index = 1; index < values.length; index++) {
    if (values[index] > values[first]) {
      second = first
      first = index
    } else if (second < 0 || values[index] > values[second]) {
      second = index
    }
  }
  return [first, second]
}

/**
 * Describe the confidence in words, to follow the name of the predicted class; the twin of `Prediction.describe` in
 * interpret/evaluation/predict.py.
 * @param {ArrayLike<number>} probabilities
 * @param {readonly string[]} classNames
 * @param {readonly string[]} [doubts] reasons to doubt the input, as clauses; with one of them no prediction is certain
 * @returns {string}
 */
export function describePrediction(probabilities, classNames, doubts = []) {
  const confidence = describeConfidence(probabilities, classNames, doubts.length > 0)
  return doubts.length > 0 ? `${confidence}, but ${doubts.join(" and ")}` : confidence
}

/**
 * Describe the confidence.
 * @param {ArrayLike<number>} probabilities
 * @param {readonly string[]} classNames
 * @param {boolean} hasDoubts
 * @returns {string}
 */
function describeConfidence(probabilities, classNames, hasDoubts) {
  const [top, next] = findTopTwo(probabilities)
  const first = probabilities[top]
  const second = probabilities[next]
  const nextClass = second >= MIN_NAMED_PROBABILITY ? `, next ${classNames[next]} (${formatPercent(second)})` : ""
  if (first >= HIGH_CONFIDENCE && !hasDoubts) return `certain (${formatPercent(first)})${nextClass}`
  if (first < LOW_CONFIDENCE && classNames.length <= MAX_FEW_CLASSES) return "unsure: no class stands out"
  if (first - second < CLOSE_MARGIN) {
    return `undecided between ${classNames[top]} (${formatPercent(first)}) and ${classNames[next]} (${formatPercent(second)})`
  }
  return `probable (${formatPercent(first)})${nextClass}`
}

/**
 * Select the classes that have a bar: all in their order, or the most probable ones.
 * @param {ArrayLike<number>} probabilities
 * @param {number} count of bars
 * @returns {number[]}
 */
export function selectClasses(probabilities, count) {
  const indices = Array.from(probabilities, (_, index) => index)
  if (count >= indices.length) return indices
  return indices.sort((first, second) => probabilities[second] - probabilities[first]).slice(0, count)
}
