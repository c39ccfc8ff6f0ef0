/** @typedef {{ first: number, weights: Float64Array }} Filter Weights of the pixels that one output pixel depends on. */

/**
 * Compute the filters of one axis: bilinear interpolation with antialiasing, as PyTorch's `interpolate` has it.
 * @param {number} inputSize
 * @param {number} outputSize
 * @returns {Filter[]}
 */
export function computeFilters(inputSize, outputSize) {
  const scale = inputSize / outputSize
  const support = Math.max(scale, 1)
  return Array.from({ length: outputSize }, (_, index) => {
    const center = scale * (index + 0.5)
    const first = Math.max(Math.floor(center - support + 0.5), 0)
    const end = Math.min(Math.floor(center + support + 0.5), inputSize)
    const weights = Float64Array.from({ length: end - first }, (__, offset) =>
      Math.max(0, 1 - Math.abs(first + offset - center + 0.5) / support),
    )
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return { first, weights: weights.map((weight) => weight / total) }
  })
}

/**
 * Resizes square images of one channel to the input shape of a network, by way of bytes: the twin of `resize_to_input` in
 * interpret/drawing/preprocess.py.
 */
export class ImageResizer {
  /** @type {number} */
  #size
  /** @type {readonly number[]} */
  #shape
  /** @type {Filter[]} */
  #rows
  /** @type {Filter[]} */
  #columns
  /** @type {Float32Array} */
  #narrowed
  /** @type {Float32Array} */
  #image

  /**
   * @param {number} size side of the images
   * @param {readonly number[]} shape (channels, height, width) of the network
   */
  constructor(size, shape) {
    const [channels, height, width] = shape
    this.#size = size
    this.#shape = shape
    this.#rows = computeFilters(size, height)
    this.#columns = computeFilters(size, width)
    this.#narrowed = new Float32Array(size * width)
    this.#image = new Float32Array(channels * height * width)
  }

  /**
   * Resize an image, values 0 to 1. An image that has the network's shape is returned unchanged.
   * @param {Float32Array} image
   * @returns {Float32Array} valid until the next call
   */
  resize(image) {
    const [channels, height, width] = this.#shape
    const size = this.#size
    if (channels === 1 && height === size && width === size) return image
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < width; column++) {
        const { first, weights } = this.#columns[column]
        let sum = 0
        for (let index = 0; index < weights.length; index++) {
          sum += weights[index] * roundHalfEven(image[row * size + first + index] * 255)
        }
        this.#narrowed[row * width + column] = sum
      }
    }
    for (let row = 0; row < height; row++) {
      const { first, weights } = this.#rows[row]
      for (let column = 0; column < width; column++) {
        let sum = 0
        for (let index = 0; index < weights.length; index++) {
          sum += weights[index] * this.#narrowed[(first + index) * width + column]
        }
        this.#image[row * width + column] = roundHalfEven(sum) / 255
      }
    }
    for (let channel = 1; channel < channels; channel++) {
      this.#image.copyWithin(channel * height * width, 0, height * width)
    }
    return this.#image
  }
}

/**
 * Round to the nearest integer, halves to the even one.
 * @param {number} value 0 or more
 * @returns {number}
 */
export function roundHalfEven(value) {
  const low = Math.floor(value)
  const rest = value - low
  if (rest === 0.5) return low + (low % 2)
  return rest > 0.5 ? low + 1 : low
}
